//! From the PVH entry point, in 32 bits and without paging, to Rust in long mode.
//!
//! Zeroes `.bss`, maps the first 4 GiB one to one with 2 MiB pages (the top GiB, where devices are, uncached),
//! switches SSE on (the host target's prebuilt `core` uses it), and calls `kernel_main` on the boot stack.

use core::arch::global_asm;

/// Bytes of the one stack that everything but interrupts runs on.
pub(crate) const STACK_BYTES: usize = 64 * 1024;

/// What unused stack is filled with, so that its use can be measured.
pub(crate) const STACK_PAINT: u8 = 0x5a;

global_asm!(
    r#"
.section .note.pvh, "a", @note
.balign 4
    .long 4                 # length of the name
    .long 8                 # length of the value
    .long 18                # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_start

.section .bss.boot, "aw", @nobits
.balign 4096
boot_pml4:      .skip 4096
boot_pdpt:      .skip 4096
boot_pd:        .skip 4 * 4096
.global boot_stack
boot_stack:     .skip {stack}
boot_stack_top:

.section .data.boot, "aw"
.balign 16
.global boot_gdt
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff    # 0x08: code, 64 bits
    .quad 0x00cf92000000ffff    # 0x10: data
    .quad 0, 0                  # 0x18: task state, filled in later
boot_gdt_pointer:
    .word . - boot_gdt - 1
    .long boot_gdt

.section .text.boot, "ax"
.code32
.global pvh_start
pvh_start:
    cld
    mov ebp, ebx                # the start info, before .bss is zeroed over nothing that matters
    mov edi, offset __bss_start
    mov ecx, offset __bss_end
    sub ecx, edi
    shr ecx, 2
    xor eax, eax
    rep stosd

    mov edi, offset boot_stack
    mov ecx, {stack} / 4
    mov eax, {paint} * 0x01010101
    rep stosd
    mov esp, offset boot_stack_top

    mov eax, offset boot_pdpt
    or eax, 3
    mov [boot_pml4], eax
    mov eax, offset boot_pd
    or eax, 3
    mov edi, offset boot_pdpt
    mov ecx, 4
2:  mov [edi], eax
    add eax, 4096
    add edi, 8
    dec ecx
    jnz 2b

    mov eax, 0x83               # present, writable, 2 MiB
    mov edi, offset boot_pd
    mov ecx, 2048
3:  cmp ecx, 512                # the last GiB: also write-through and uncached
    jne 4f
    or eax, 0x18
4:  mov [edi], eax
    add eax, 0x200000
    add edi, 8
    dec ecx
    jnz 3b

    mov eax, cr4
    or eax, 0x620               # PAE, SSE and its exceptions
    mov cr4, eax
    mov eax, offset boot_pml4
    mov cr3, eax
    mov ecx, 0xc0000080         # EFER
    rdmsr
    or eax, 0x100               # long mode
    wrmsr
    mov eax, cr0
    and eax, 0xfffffff3         # no emulation, no task switch: SSE works
    or eax, 0x80000003          # paging, protection, monitor
    mov cr0, eax

    lgdt [boot_gdt_pointer]
    push 8
    mov eax, offset boot_long
    push eax
    retf

.code64
boot_long:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    mov rsp, offset boot_stack_top
    mov edi, ebp
    xor ebp, ebp
    call {main}
    ud2
"#,
    stack = const STACK_BYTES,
    paint = const STACK_PAINT,
    main = sym crate::kernel_main,
);

unsafe extern "C" {
    /// The lowest byte of the boot stack.
    static boot_stack: u8;
    /// The table of segments, whose last two words wait for the task state.
    pub(super) static mut boot_gdt: [u64; 5];
}

/// Bytes of the stack that have been used at most, so far.
pub(crate) fn stack_used() -> usize {
    let stack = &raw const boot_stack;
    let untouched = (0..STACK_BYTES)
        // SAFETY: the stack is that long, and reading what lies below the stack pointer disturbs nobody.
        .take_while(|&at| unsafe { stack.add(at).read_volatile() } == STACK_PAINT)
        .count();
    STACK_BYTES - untouched
}
