//! Link arguments: where the board's memory is, and the layout of `riscv-rt`, which brings the start-up code.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
    println!("cargo:rerun-if-changed={folder}/memory.x");
    println!("cargo:rustc-link-arg-bins=-T{folder}/memory.x");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
}
