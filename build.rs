//! Compiles `proto/` into Rust with protox, so that nobody needs a `protoc`.

use std::{env, error::Error, fs, path::Path};

const ROOT: &str = "proto";
const FILES: [&str; 2] =
    ["presence_router/v1/presence_router.proto", "presence_router/v1/errors.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let descriptors = protox::Compiler::new([ROOT])?
        .include_imports(true)
        // Comments reach rustdoc, and `grpcurl describe` by reflection.
        .include_source_info(true)
        .open_files(FILES)?
        .encode_file_descriptor_set();
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::write(Path::new(&out).join("descriptors.bin"), &descriptors)?;

    tonic_prost_build::configure()
        .build_client(env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .build_server(env::var_os("CARGO_FEATURE_SERVER").is_some())
        // No `connect` in the generated client: how to reach a daemon is the
        // business of the client crate.
        .build_transport(false)
        .compile_fds(prost::Message::decode(descriptors.as_slice())?)?;
    Ok(())
}
