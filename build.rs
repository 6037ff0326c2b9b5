//! Compiles `proto/` into Rust with protox, so that nobody needs a `protoc`.
//!
//! Twice: as it stands, and once more for the server, with hand-written types
//! for the messages on its hot path.

use std::{env, error::Error, fs, path::Path};

use prost_types::FileDescriptorSet;

const ROOT: &str = "proto";
const PACKAGE: &str = "presence_router.v1";
const FILES: [&str; 4] = [
    "presence_router/v1/presence_router.proto",
    "presence_router/v1/policy.proto",
    "presence_router/v1/room.proto",
    "presence_router/v1/errors.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    // Not all of `proto/`: it holds Rust as well.
    println!("cargo:rerun-if-changed={ROOT}/presence_router");
    let descriptors = protox::Compiler::new([ROOT])?
        .include_imports(true)
        // Comments reach rustdoc, and `grpcurl describe` by reflection.
        .include_source_info(true)
        .open_files(FILES)?
        .encode_file_descriptor_set();
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::write(Path::new(&out).join("descriptors.bin"), &descriptors)?;

    let descriptors: FileDescriptorSet = prost::Message::decode(descriptors.as_slice())?;
    let builder = || tonic_prost_build::configure().build_transport(false);
    builder()
        .build_client(env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .build_server(env::var_os("CARGO_FEATURE_SERVER").is_some())
        .compile_fds(descriptors.clone())?;
    if env::var_os("CARGO_FEATURE_SERVER").is_some() {
        let out = Path::new(&out).join("server");
        fs::create_dir_all(&out)?;
        // All messages are those of `v1`, but for what carries users by the thousand, and
        // what streams carry it in.
        let mut builder = builder().build_client(false).out_dir(out);
        for message in messages(&descriptors) {
            let path = match message {
                "RouteStatesRequest" | "RouteStatesResponse" | "WatchChangesResponse" => continue,
                "StateBatch" | "Deliveries" | "SetPart" | "GetInterestedUsersResponse" => {
                    format!("crate::wire::{message}")
                }
                _ => format!("crate::v1::{message}"),
            };
            builder = builder.extern_path(format!(".{PACKAGE}.{message}"), path);
        }
        builder.compile_fds(descriptors)?;
    }
    Ok(())
}

/// Names of the package's messages and enums.
fn messages(descriptors: &FileDescriptorSet) -> impl Iterator<Item = &str> {
    let files = descriptors.file.iter().filter(|file| file.package() == PACKAGE);
    files.flat_map(|file| {
        let messages = file.message_type.iter().map(|message| message.name());
        messages.chain(file.enum_type.iter().map(|one| one.name()))
    })
}
