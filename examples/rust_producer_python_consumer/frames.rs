// tachyon.schema 1, frames.h 42f68b41e0d7c7f4: written by python -m tachyon.schema

/// The description of the messages of frames.h.
#[allow(dead_code)]
pub const TYPES: &str = "tachyon-types 1 little
message 1 Frame
 samples f32[256] @0
 = 1024 align 4
message 2 End
 frames u64 @0
 adler32 u32 @8
 reserved u8[4] @12
 = 16 align 8
";

/// FNV-1a 64 of TYPES.
#[allow(dead_code)]
pub const FINGERPRINT: u64 = 0x5e26_ef1d_3d77_9da0;

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
pub const FRAME_SAMPLES: u32 = 256;

/// Message 1: 1024 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct Frame {
    pub samples: [f32; 256],
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl Frame {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        samples: [0.0; 256],
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(Frame {
    samples: [f32; 256],
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for Frame {
    const TYPE_ID: u32 = 1;
    const TYPES: &'static str = "tachyon-types 1 little
message 1 Frame
 samples f32[256] @0
 = 1024 align 4
";
}

#[rustfmt::skip]
impl ::core::fmt::Debug for Frame {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("Frame")
            .field("samples", &{ self.samples })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<Frame>() == 1024);
    assert!(::core::mem::offset_of!(Frame, samples) == 0);
    assert!(::core::mem::size_of::<[f32; 256]>() == 1024);
};

/// Message 2: 16 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct End {
    pub frames: u64,
    pub adler32: u32,
    pub reserved: [u8; 4],
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl End {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        frames: 0,
        adler32: 0,
        reserved: [0; 4],
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(End {
    frames: u64,
    adler32: u32,
    reserved: [u8; 4],
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for End {
    const TYPE_ID: u32 = 2;
    const TYPES: &'static str = "tachyon-types 1 little
message 2 End
 frames u64 @0
 adler32 u32 @8
 reserved u8[4] @12
 = 16 align 8
";
}

#[rustfmt::skip]
impl ::core::fmt::Debug for End {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("End")
            .field("frames", &{ self.frames })
            .field("adler32", &{ self.adler32 })
            .field("reserved", &{ self.reserved })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<End>() == 16);
    assert!(::core::mem::offset_of!(End, frames) == 0);
    assert!(::core::mem::size_of::<u64>() == 8);
    assert!(::core::mem::offset_of!(End, adler32) == 8);
    assert!(::core::mem::size_of::<u32>() == 4);
    assert!(::core::mem::offset_of!(End, reserved) == 12);
    assert!(::core::mem::size_of::<[u8; 4]>() == 4);
};
