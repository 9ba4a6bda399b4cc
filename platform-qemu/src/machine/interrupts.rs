//! Exceptions and interrupts.
//!
//! Interrupts are let in only while the processor halts in [`sleep_until`], and their handlers do nothing but
//! acknowledge: all they are for is to end the halt. Every line is edge-triggered, so that one which comes while they are
//! shut out waits in the controller and ends the next halt at once; no wake-up is lost, and the main loop shares
//! nothing with anybody.

use core::arch::{asm, naked_asm};

use ostrakon_core::time::{Duration, Instant};
use ostrakon_devices::{Exit, TakeOnce};

use super::boot::boot_gdt;
use super::clock::Clock;
use super::exit::exit;
use super::mmio::Register;
use super::port::Port;
use crate::log::{Hex, error};

const LOCAL_APIC: usize = 0xfee0_0000;
const IO_APIC: usize = 0xfec0_0000;
const APIC_TASK_PRIORITY: usize = 0x80;
const APIC_END_OF_INTERRUPT: usize = 0xb0;
const APIC_SPURIOUS: usize = 0xf0;
const APIC_TIMER: usize = 0x320;
const APIC_TIMER_INITIAL: usize = 0x380;
const APIC_TIMER_CURRENT: usize = 0x390;
const APIC_TIMER_DIVISOR: usize = 0x3e0;
/// Divide by 1.
const DIVISOR_ONE: u32 = 0b1011;
const APIC_ENABLED: u32 = 1 << 8;

const TIMER_VECTOR: u8 = 32;
const DEVICE_VECTOR: u8 = 33;
const SPURIOUS_VECTOR: u8 = 255;

/// Lines of the I/O controller that are let in: the second serial port, and the virtio slots, which come later on a board
/// with ACPI.
const LINES: [u8; 17] = [3, 5, 6, 7, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21, 22, 23];

const CODE_SEGMENT: u16 = 0x08;
const TASK_SEGMENT: u16 = 0x18;

/// Bytes of the stack for exceptions and interrupts.
const INTERRUPT_STACK_BYTES: usize = 16 * 1024;

/// An entry of the interrupt descriptor table.
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate {
    low: u16,
    segment: u16,
    stack: u8,
    kind: u8,
    middle: u16,
    high: u32,
    reserved: u32,
}

impl Gate {
    const NONE: Self = Self {
        low: 0,
        segment: 0,
        stack: 0,
        kind: 0,
        middle: 0,
        high: 0,
        reserved: 0,
    };

    /// An interrupt gate to a handler, on the interrupt stack, which makes the red zone of the interrupted function
    /// harmless.
    fn to(handler: extern "C" fn()) -> Self {
        let address = handler as usize as u64;
        Self {
            low: address as u16,
            segment: CODE_SEGMENT,
            stack: 1,
            kind: 0x8e,
            middle: (address >> 16) as u16,
            high: (address >> 32) as u32,
            reserved: 0,
        }
    }
}

/// The 64-bit task state: all it does here is to name the interrupt stack.
#[repr(C, packed(4))]
struct TaskState {
    reserved: u32,
    privilege_stacks: [u64; 3],
    reserved_2: u64,
    interrupt_stacks: [u64; 7],
    reserved_3: [u16; 5],
    io_map: u16,
}

#[repr(C, align(16))]
struct Stack([u8; INTERRUPT_STACK_BYTES]);

#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    base: u64,
}

static GATES: TakeOnce<[Gate; 256]> = TakeOnce::new();
static TASK: TakeOnce<TaskState> = TakeOnce::new();
static STACK: TakeOnce<[Stack; 1]> = TakeOnce::new();

/// What the processor and the stubs leave on the interrupt stack.
#[repr(C)]
struct Frame {
    vector: u64,
    code: u64,
    instruction: u64,
    segment: u64,
    flags: u64,
    stack: u64,
}

extern "C" fn fault(frame: &Frame) -> ! {
    let address: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    error!(
        "fault {} (code {}) at {}, stack {}, address {}",
        frame.vector,
        Hex(frame.code),
        Hex(frame.instruction),
        Hex(frame.stack),
        Hex(address)
    );
    exit(Exit::Fault)
}

/// An exception for which the processor pushes no code.
#[unsafe(naked)]
extern "C" fn plain<const VECTOR: u8>() {
    naked_asm!("push 0", "push {vector}", "mov rdi, rsp", "and rsp, -16", "call {fault}", "ud2",
               vector = const VECTOR, fault = sym fault)
}

/// An exception for which the processor pushes a code.
#[unsafe(naked)]
extern "C" fn coded<const VECTOR: u8>() {
    naked_asm!("push {vector}", "mov rdi, rsp", "and rsp, -16", "call {fault}", "ud2",
               vector = const VECTOR, fault = sym fault)
}

/// The timer or a device: acknowledges, so that the next one can come.
#[unsafe(naked)]
extern "C" fn interrupt() {
    naked_asm!("push rax", "mov eax, {end}", "mov dword ptr [rax], 0", "pop rax", "iretq",
               end = const LOCAL_APIC + APIC_END_OF_INTERRUPT)
}

/// An interrupt that was withdrawn: not acknowledged.
#[unsafe(naked)]
extern "C" fn spurious() {
    naked_asm!("iretq")
}

fn gates() -> [Gate; 256] {
    let mut gates = [Gate::NONE; 256];
    macro_rules! exceptions {
        ($($kind:ident: $($vector:literal)*;)*) => {
            $($(gates[$vector] = Gate::to($kind::<$vector>);)*)*
        };
    }
    exceptions! {
        plain: 0 1 2 3 4 5 6 7 9 15 16 18 19 20 22 23 24 25 26 27 28 31;
        coded: 8 10 11 12 13 14 17 21 29 30;
    }
    gates[usize::from(TIMER_VECTOR)] = Gate::to(interrupt);
    gates[usize::from(DEVICE_VECTOR)] = Gate::to(interrupt);
    gates[usize::from(SPURIOUS_VECTOR)] = Gate::to(spurious);
    gates
}

fn apic(register: usize) -> Register {
    // SAFETY: a register of the local APIC, which is mapped and has no way to change memory.
    unsafe { Register::at(LOCAL_APIC + register) }
}

/// Takes over exceptions, shuts the old interrupt controllers up and lets the lines that we use through the new one.
pub(crate) fn start() {
    load_task();
    let gates = GATES.fill(gates);
    let pointer = TablePointer {
        limit: (size_of_val(gates) - 1) as u16,
        base: gates.as_ptr() as u64,
    };
    // SAFETY: the table is static and complete for everything that can come.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack, preserves_flags)) };

    // The old controllers: everything masked.
    Port(0x21).write8(0xff);
    Port(0xa1).write8(0xff);
    apic(APIC_TASK_PRIORITY).write(0);
    apic(APIC_SPURIOUS).write(APIC_ENABLED | u32::from(SPURIOUS_VECTOR));
    apic(APIC_TIMER_DIVISOR).write(DIVISOR_ONE);
    // One-shot.
    apic(APIC_TIMER).write(u32::from(TIMER_VECTOR));
    for line in LINES {
        let entry = 0x10 + 2 * u32::from(line);
        io_apic(entry + 1, 0);
        // Edge-triggered, active high, to processor 0.
        io_apic(entry, u32::from(DEVICE_VECTOR));
    }
}

fn io_apic(index: u32, value: u32) {
    // SAFETY: the two registers of the I/O APIC, which is mapped and has no way to change memory.
    let (select, window) = unsafe { (Register::at(IO_APIC), Register::at(IO_APIC + 0x10)) };
    select.write(index);
    window.write(value);
}

fn load_task() {
    let [stack] = STACK.fill_each(|| Stack([0; INTERRUPT_STACK_BYTES]));
    let top = &raw mut *stack as u64 + INTERRUPT_STACK_BYTES as u64;
    let task = TASK.fill(|| TaskState {
        reserved: 0,
        privilege_stacks: [0; 3],
        reserved_2: 0,
        interrupt_stacks: [top, 0, 0, 0, 0, 0, 0],
        reserved_3: [0; 5],
        io_map: size_of::<TaskState>() as u16,
    });
    let base = &raw mut *task as u64;
    let limit = size_of::<TaskState>() as u64 - 1;
    let low = limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    // SAFETY: the two words that the table of segments keeps for this; the processor has not read them yet.
    unsafe {
        (&raw mut boot_gdt[3]).write_volatile(low);
        (&raw mut boot_gdt[4]).write_volatile(base >> 32);
        asm!("ltr {:x}", in(reg) TASK_SEGMENT, options(nostack, preserves_flags));
    }
}

/// What the local timer has left; it counts down from [`timer_start`].
pub(super) fn timer_left() -> u32 {
    apic(APIC_TIMER_CURRENT).read()
}

/// Lets the local timer count down from this many of its ticks. It interrupts once, at 0; from 0 it does not count.
pub(super) fn timer_start(ticks: u32) {
    apic(APIC_TIMER_INITIAL).write(ticks);
}

/// Halts until `deadline`, or until a device interrupts, whichever comes first. May return early.
pub(crate) fn sleep_until(clock: &Clock, deadline: Option<Instant>) {
    let now = clock.now();
    let wait = deadline.map(|deadline| deadline.since(now));
    if wait == Some(Duration::ZERO) {
        return;
    }
    // At least one tick: a timer set to 0 is off.
    timer_start(wait.map_or(0, |wait| clock.timer_ticks(wait).max(1)));
    // SAFETY: the handlers only acknowledge. `sti` lets interrupts in after the instruction that follows it, so that
    // none can come between it and `hlt` and be slept through.
    unsafe { asm!("sti", "hlt", "cli") };
    timer_start(0);
}

/// Faults without any handler: the processor resets itself.
pub(super) fn forget_handlers_and_fault() {
    let nothing = TablePointer { limit: 0, base: 0 };
    // SAFETY: nothing of this image runs after it.
    unsafe { asm!("lidt [{}]", "int3", in(reg) &raw const nothing, options(readonly, nostack)) };
}

/// Stops the processor.
pub(crate) fn halt_for_good() {
    // SAFETY: with interrupts shut out nothing runs after this.
    unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
}
