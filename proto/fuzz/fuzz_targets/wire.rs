#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| presence_router_proto_fuzz::wire(data));
