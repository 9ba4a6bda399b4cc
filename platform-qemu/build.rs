//! Link arguments of the image: an own memory layout, and whatever the target's linker needs to make a freestanding
//! program. The bare target links with lld; the host target's prebuilt `core` works just as well, through `cc`.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
    let layout = format!("{folder}/link.ld");
    println!("cargo:rerun-if-changed={layout}");
    let bare = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none");
    let arguments: &[&str] = if bare {
        &["--no-pie", "--build-id=none", "-zmax-page-size=4096", "-znorelro"]
    } else {
        &[
            "-nostartfiles",
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,--build-id=none",
            "-Wl,-z,max-page-size=4096",
            "-Wl,-z,norelro",
        ]
    };
    for argument in arguments {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rustc-link-arg-bins=-T{layout}");
    if std::env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        // Where defmt keeps its messages: in the file, never in memory.
        println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    }
}
