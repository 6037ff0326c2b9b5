//! Compiles `proto/` into Rust with protox, so that a build needs no `protoc`.
//!
//! The code is generated twice: once unchanged, and once for the server, with hand-written
//! types for the messages on its hot path.

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
    // Not all of `proto/`, which also contains Rust code.
    println!("cargo:rerun-if-changed={ROOT}/presence_router");
    let descriptors = protox::Compiler::new([ROOT])?
        .include_imports(true)
        // The source info carries comments to rustdoc and, by reflection, to `grpcurl describe`.
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
        // The server shares all messages with `v1`, except those that carry thousands of
        // users, and the stream messages around them.
        let mut builder = builder().build_client(false).out_dir(out);
        for message in message_names(&descriptors) {
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

/// Returns the names of the package's messages and enums.
fn message_names(descriptors: &FileDescriptorSet) -> impl Iterator<Item = &str> {
    let files = descriptors.file.iter().filter(|file| file.package() == PACKAGE);
    files.flat_map(|file| {
        let messages = file.message_type.iter().map(|message| message.name());
        messages.chain(file.enum_type.iter().map(|one| one.name()))
    })
}
