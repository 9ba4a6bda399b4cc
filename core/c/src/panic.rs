//! The panic handler of a static library for firmware.

use core::panic::PanicInfo;

unsafe extern "C" {
    /// Defined by the platform: a bug of ostrakon was found at `line` of `file` (`length` bytes, no zero at the end). It
    /// must not return: reset the machine, which is what makes the others elect.
    fn ostrakon_platform_panic(file: *const u8, length: usize, line: u32);
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
    // SAFETY: the platform reads `length` bytes of a constant.
    unsafe { ostrakon_platform_panic(file.as_ptr(), file.len(), line) };
    #[expect(
        clippy::empty_loop,
        reason = "there is no way on after a panic, and nothing to sleep with"
    )]
    loop {}
}
