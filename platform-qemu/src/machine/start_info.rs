//! What the loader hands over: `hvm_start_info` of the PVH boot protocol.

use core::ffi::{CStr, c_char};

/// First word of a start info.
const MAGIC: u32 = 0x336e_c578;

#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
}

/// The kernel's command line; empty if there is none or if it is not UTF-8.
///
/// # Safety
/// `start_info` must be what the loader passed to the entry point, and memory as it left it.
pub(crate) unsafe fn command_line(start_info: *const u8) -> &'static str {
    let info = start_info.cast::<StartInfo>();
    // SAFETY: the loader's, as the caller promises; it is never freed, since nothing here frees memory.
    let (magic, at) = unsafe { ((*info).magic, (*info).command_line) };
    if magic != MAGIC || at == 0 {
        return "";
    }
    // SAFETY: the protocol says that it is a C string; it lies below the image and is never written.
    let text = unsafe { CStr::from_ptr(at as *const c_char) };
    text.to_str().unwrap_or("")
}
