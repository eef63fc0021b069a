// SPDX-License-Identifier: Apache-2.0
//! The compiled core behind the bindings.

use std::ffi::CStr;
use tachyon_sys::*;

#[test]
fn version_is_the_manifests() {
    let version = unsafe { CStr::from_ptr(tachyon_version()) };
    assert_eq!(version.to_str().unwrap(), env!("CARGO_PKG_VERSION"));
    let header = [
        TACHYON_VERSION_MAJOR,
        TACHYON_VERSION_MINOR,
        TACHYON_VERSION_PATCH,
    ];
    assert_eq!(
        header.map(|n| n.to_string()).join("."),
        env!("CARGO_PKG_VERSION")
    );
}

#[test]
fn a_message_arrives_and_the_stream_ends() {
    let path = std::ffi::CString::new(format!("@tachyon-sys-{}", std::process::id())).unwrap();
    let listener = path.clone();
    let producer = std::thread::spawn(move || unsafe {
        let mut bus = std::ptr::null_mut();
        let error = tachyon_bus_listen(listener.as_ptr(), 4096, &mut bus);
        assert_eq!(error, tachyon_error_t_TACHYON_SUCCESS);
        let payload = b"tick";
        let error = tachyon_send(bus, payload.as_ptr().cast(), payload.len(), 42, 0, -1);
        assert_eq!(error, tachyon_error_t_TACHYON_SUCCESS);
        tachyon_bus_destroy(bus);
    });

    unsafe {
        let options = tachyon_options_t {
            size: std::mem::size_of::<tachyon_options_t>(),
            timeout_ns: 10_000_000_000,
            ..std::mem::zeroed()
        };
        let mut bus = std::ptr::null_mut();
        let error = tachyon_bus_connect_with(path.as_ptr(), &options, &mut bus);
        assert_eq!(error, tachyon_error_t_TACHYON_SUCCESS);
        let (mut type_id, mut size) = (0, 0);
        let payload = tachyon_acquire_rx_blocking(bus, &mut type_id, &mut size, 100);
        assert!(!payload.is_null());
        let payload = std::slice::from_raw_parts(payload.cast::<u8>(), size);
        assert_eq!((payload, type_id), (&b"tick"[..], 42));
        assert_eq!(tachyon_commit_rx(bus), tachyon_error_t_TACHYON_SUCCESS);
        let end = tachyon_acquire_rx_blocking(bus, &mut type_id, &mut size, 100);
        assert!(end.is_null());
        assert_eq!(tachyon_last_error(), tachyon_error_t_TACHYON_ERR_CLOSED);
        tachyon_bus_destroy(bus);
    }
    producer.join().unwrap();
}
