//! What C gets wrong is answered, not believed.

use std::ffi::{CStr, c_void};
use std::ptr;

use ostrakon_c::*;
use ostrakon_error as E;

/// Memory for a mount with eight clients, aligned as it must be.
struct Memory(Vec<u64>);

const CLIENTS: u32 = 8;
const BYTES: usize = OSTRAKON_MOUNT_BASE_BYTES + CLIENTS as usize * OSTRAKON_MOUNT_CLIENT_BYTES;

impl Memory {
    fn new() -> Self {
        Self(vec![0xa5a5_a5a5_a5a5_a5a5; BYTES.div_ceil(8)])
    }
    fn start(&mut self, config: &ostrakon_config) -> (E, *mut ostrakon_mount) {
        self.start_with(BYTES, CLIENTS, config)
    }
    fn start_with(
        &mut self,
        bytes: usize,
        clients: u32,
        config: &ostrakon_config,
    ) -> (E, *mut ostrakon_mount) {
        let mut mount = ptr::null_mut();
        let memory = self.0.as_mut_ptr().cast::<c_void>();
        // SAFETY: the memory is as large as `bytes` says or larger, and everything else is ours.
        let error = unsafe { ostrakon_start(memory, bytes, clients, 0, config, &mut mount) };
        (error, mount)
    }
}

const FIFTY_DAYS_US: u64 = 50 * 86_400 * 1_000_000;

fn voter() -> ostrakon_config {
    let mut config = std::mem::MaybeUninit::uninit();
    // SAFETY: filled by the call, which is checked.
    let mut config = unsafe {
        assert_eq!(ostrakon_config_default(config.as_mut_ptr()), E::None);
        config.assume_init()
    };
    config.rid = 7;
    config.seed = [7; 32];
    config.voter = 1;
    config.can_fence = 1;
    config.server_addr = ostrakon_address {
        ip: [127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        port: 7000,
        family: 4,
        ..Default::default()
    };
    config
}

#[test]
fn a_configuration_is_judged_part_by_part() {
    type Change = fn(&mut ostrakon_config);
    let cases: [(Change, E); 16] = [
        (|_| {}, E::None),
        (|config| config.size -= 4, E::ConfigSize),
        (|config| config.rid = 0, E::ConfigRid),
        (|config| config.seed = [0; 32], E::ConfigSeed),
        (|config| config.transfer_blocks = 0, E::ConfigTransferBlocks),
        (|config| config.transfer_blocks = 65, E::ConfigTransferBlocks),
        (|config| config.write_time_max_us = 0, E::ConfigTime),
        (|config| config.fence_time_max_us = 0, E::ConfigTime),
        (|config| config.write_time_max_us = FIFTY_DAYS_US, E::ConfigTime),
        (|config| config.lease_us = FIFTY_DAYS_US, E::ConfigTime),
        (|config| config.server_addr.family = 5, E::ConfigAddress),
        (|config| config.server_addr.port = 0, E::ConfigAddress),
        (|config| config.can_fence = 0, E::ConfigFence),
        (|config| config.can_fence = 2, E::UnknownValue),
        (|config| config.voter = 2, E::UnknownValue),
        (|config| config.voter = 0, E::ConfigClients),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let mut config = voter();
        change(&mut config);
        assert_eq!(Memory::new().start(&config).0, expected, "case {index}");
    }
    let mut lease = voter();
    (lease.can_fence, lease.lease_us) = (0, 3_000_000);
    assert_eq!(Memory::new().start(&lease).0, E::None);
}

#[test]
fn memory_must_be_there_aligned_large_enough_and_free() {
    let (mut memory, config) = (Memory::new(), voter());
    assert_eq!(
        memory.start_with(BYTES - 1, CLIENTS, &config).0,
        E::MemoryTooSmall
    );
    assert_eq!(
        memory.start_with(BYTES, CLIENTS + 1, &config).0,
        E::MemoryTooSmall
    );
    assert_eq!(memory.start_with(BYTES, u32::MAX, &config).0, E::MemoryTooSmall);
    assert_eq!(memory.start_with(BYTES, 0, &config).0, E::ConfigClients);
    let mut mount = ptr::null_mut();
    let at = memory.0.as_mut_ptr();
    // SAFETY: whatever is passed here is memory of ours, or null.
    unsafe {
        let askew = at.byte_add(4).cast();
        assert_eq!(
            ostrakon_start(askew, BYTES - 8, CLIENTS, 0, &config, &mut mount),
            E::Misaligned
        );
        assert_eq!(
            ostrakon_start(ptr::null_mut(), BYTES, CLIENTS, 0, &config, &mut mount),
            E::NullPointer
        );
        assert_eq!(
            ostrakon_start(at.cast(), BYTES, CLIENTS, 0, ptr::null(), &mut mount),
            E::NullPointer
        );
        assert_eq!(
            ostrakon_start(at.cast(), BYTES, CLIENTS, 0, &config, ptr::null_mut()),
            E::NullPointer
        );
    }
    assert_eq!(memory.start(&config).0, E::None);
    assert_eq!(memory.start(&config).0, E::AlreadyStarted);
}

#[test]
fn only_a_mount_that_lives_is_one() {
    let (mut memory, config) = (Memory::new(), voter());
    // SAFETY: memory of ours, larger than anything that is read of it.
    unsafe {
        assert_eq!(ostrakon_poll(ptr::null_mut(), 0), E::NullPointer);
        assert_eq!(ostrakon_poll(memory.0.as_mut_ptr().cast(), 0), E::NotAMount);
        let (error, mount) = memory.start(&config);
        assert_eq!(error, E::None);
        assert_eq!(ostrakon_poll(mount.byte_add(1), 0), E::Misaligned);
        assert_eq!(ostrakon_poll(mount, 0), E::None);

        let mut copy = Memory(memory.0.clone());
        assert_eq!(
            ostrakon_poll(copy.0.as_mut_ptr().cast(), 0),
            E::NotAMount,
            "a mount does not move"
        );

        assert_eq!(ostrakon_release(mount), E::NotEnded);
        assert_eq!(ostrakon_force(mount, 1), E::None);
        assert_eq!(ostrakon_poll(mount, 1), E::None);
        let mut event = std::mem::MaybeUninit::<ostrakon_event>::uninit();
        let mut last = None;
        while ostrakon_poll_event(mount, event.as_mut_ptr()) == E::None {
            last = Some(event.assume_init_ref().detail);
        }
        assert_eq!(last, Some(ostrakon_detail::Forced));
        assert_eq!(ostrakon_release(mount), E::None);
        assert_eq!(ostrakon_poll(mount, 2), E::NotAMount);
        assert_eq!(ostrakon_release(mount), E::NotAMount);
    }
    assert_eq!(memory.start(&config).0, E::None, "released memory serves again");
}

#[test]
fn inputs_and_buffers_are_judged() {
    let (mut memory, mut config) = (Memory::new(), voter());
    config.transfer_blocks = 2;
    let (error, mount) = memory.start(&config);
    assert_eq!(error, E::None);
    let mut bytes = vec![0; 2 * OSTRAKON_BLOCK_BYTES];
    let at = bytes.as_mut_ptr();
    let mut request = std::mem::MaybeUninit::<ostrakon_disk_request>::uninit();
    let (mut conn, mut length, mut id) = (0, 0, 0);
    let nobody = ostrakon_ballot { term: 1, rid: 0 };
    // SAFETY: memory of ours, as large as is said or null.
    unsafe {
        let small = OSTRAKON_BLOCK_BYTES;
        assert_eq!(ostrakon_poll(mount, 0), E::None);
        assert_eq!(
            ostrakon_poll_disk(mount, 0, at, small, request.as_mut_ptr()),
            E::BufferTooSmall
        );
        assert_eq!(
            ostrakon_poll_disk(mount, 0, ptr::null_mut(), 2 * small, request.as_mut_ptr()),
            E::NullPointer
        );
        assert_eq!(
            ostrakon_poll_disk(mount, 0, at, 2 * small, ptr::null_mut()),
            E::NullPointer
        );
        assert_eq!(
            ostrakon_poll_disk(mount, 0, at, 2 * small, request.as_mut_ptr()),
            E::None,
            "nothing was lost"
        );
        let first = request.assume_init();
        assert_eq!((first.kind, first.count), (ostrakon_disk_kind::Read, 1));
        assert_eq!(
            ostrakon_poll_transmit(mount, 0, at, 1023, &mut conn, &mut length),
            E::BufferTooSmall
        );
        assert_eq!(
            ostrakon_poll_transmit(mount, 0, at, OSTRAKON_MESSAGE_BYTES, &mut conn, &mut length),
            E::Nothing
        );
        assert_eq!(
            ostrakon_handle_disk(mount, 0, first.id, 4, ptr::null(), 0),
            E::UnknownValue
        );
        assert_eq!(
            ostrakon_handle_disk(mount, 0, first.id, 0, ptr::null(), usize::MAX),
            E::None,
            "no bytes: a failure"
        );
        assert_eq!(
            ostrakon_handle_closed(mount, 0, OSTRAKON_CONN_CLIENT, 3),
            E::UnknownValue
        );
        assert_eq!(ostrakon_handle_listening(mount, 0, 2), E::UnknownValue);
        assert_eq!(ostrakon_handle_fence(mount, 0, nobody, 0), E::UnknownValue);
        for (method, length, error) in [
            (b"\xff".as_ptr(), 1, E::UnknownValue),
            (ptr::null(), 1, E::NullPointer),
            (ptr::null(), 0, E::UnknownValue),
        ] {
            assert_eq!(
                ostrakon_handle_fence_by(mount, 0, nobody, 0, method, length),
                error
            );
        }
        assert_eq!(
            ostrakon_handle_bytes(mount, 0, 99, ptr::null_mut(), 5, &mut length),
            E::NullPointer
        );
        assert_eq!(
            ostrakon_handle_bytes(mount, 0, 99, at, usize::MAX, &mut length),
            E::UnknownValue
        );
        assert_eq!(
            ostrakon_handle_accept(mount, 0, &mut conn),
            E::Nothing,
            "nobody was told to listen"
        );
        assert_eq!(ostrakon_submit(mount, 2, at, 0, &mut id), E::ReservedCommand);
        assert_eq!(ostrakon_submit(mount, 0x100, at, 57, &mut id), E::BodyTooLong);
    }
}

/// The context of a service that calls its own mount back.
struct Caller {
    mount: *mut ostrakon_mount,
    found: Option<E>,
}

unsafe extern "C" fn calls_back(context: *mut c_void, server: ostrakon_ballot) {
    assert_eq!(server, ostrakon_ballot { term: 1, rid: 7 });
    // SAFETY: the context is the `Caller` of the test below, which touches it only between two calls.
    unsafe {
        let caller = context.cast::<Caller>();
        (*caller).found = Some(ostrakon_poll((*caller).mount, 0));
    }
}

unsafe extern "C" fn stopped(_context: *mut c_void) {}
unsafe extern "C" fn client_gone(_context: *mut c_void, _client: u64) {}
unsafe extern "C" fn handle(
    _context: *mut c_void,
    _request: *const ostrakon_request,
    _answer: *mut u8,
    _room: usize,
    _length: *mut usize,
) -> u32 {
    2
}

fn service(context: *mut Caller) -> ostrakon_service {
    ostrakon_service {
        context: context.cast(),
        started: Some(calls_back),
        stopped: Some(stopped),
        handle: Some(handle),
        client_gone: Some(client_gone),
    }
}

#[test]
fn a_service_without_one_of_its_callbacks_is_refused() {
    let mut incomplete = service(ptr::null_mut());
    incomplete.handle = None;
    let mut config = voter();
    config.service = &incomplete;
    assert_eq!(Memory::new().start(&config).0, E::ServiceCallback);
}

/// A device in memory, formatted.
fn device() -> Vec<u8> {
    let blocks = 192;
    let mut device = vec![0; blocks * OSTRAKON_BLOCK_BYTES];
    let volume = ostrakon_new_volume {
        id: [1; 16],
        key: [2; 32],
        device_blocks: blocks as u64,
        clients_max: CLIENTS,
        quorum_count: 1,
        reserved: 0,
    };
    let (mut block, mut at) = (vec![0; OSTRAKON_BLOCK_BYTES], 0);
    for step in 0.. {
        // SAFETY: memory of ours, as large as is said.
        match unsafe { ostrakon_format_block(&volume, step, block.as_mut_ptr(), block.len(), &mut at) } {
            E::None => {
                device[at as usize * OSTRAKON_BLOCK_BYTES..][..OSTRAKON_BLOCK_BYTES].copy_from_slice(&block)
            }
            error => {
                assert_eq!(error, E::Nothing);
                break;
            }
        }
    }
    device
}

/// One round of the loop on that device, without a network; returns the next deadline.
unsafe fn turn(mount: *mut ostrakon_mount, device: &mut [u8], now: u64) -> u64 {
    let mut buffer = vec![0; OSTRAKON_BLOCK_BYTES];
    let mut net = std::mem::MaybeUninit::<ostrakon_net_request>::uninit();
    let mut disk = std::mem::MaybeUninit::<ostrakon_disk_request>::uninit();
    let mut message = [0; OSTRAKON_MESSAGE_BYTES];
    let (mut conn, mut length, mut deadline) = (0, 0, now + 1_000_000);
    // SAFETY: memory of ours, as large as is said; what a call says it filled is read.
    unsafe {
        assert_eq!(ostrakon_poll(mount, now), E::None);
        while ostrakon_poll_net(mount, now, net.as_mut_ptr()) == E::None {
            if net.assume_init_ref().kind == ostrakon_net_kind::Listen {
                assert_eq!(ostrakon_handle_listening(mount, now, 1), E::None);
            }
        }
        let room = message.len();
        let to = message.as_mut_ptr();
        assert_eq!(
            ostrakon_poll_transmit(mount, now, to, room, &mut conn, &mut length),
            E::Nothing
        );
        while ostrakon_poll_disk(mount, now, buffer.as_mut_ptr(), buffer.len(), disk.as_mut_ptr()) == E::None
        {
            let request = disk.assume_init();
            let first = request.first_block as usize * OSTRAKON_BLOCK_BYTES;
            let range = first..first + request.count as usize * OSTRAKON_BLOCK_BYTES;
            let (mut read, mut bytes) = (ptr::null(), 0);
            match request.kind {
                ostrakon_disk_kind::Read => (read, bytes) = (device[range.clone()].as_ptr(), range.len()),
                ostrakon_disk_kind::Write => device[range].copy_from_slice(&buffer),
                ostrakon_disk_kind::Flush => {}
            }
            assert_eq!(
                ostrakon_handle_disk(mount, now, request.id, 0, read, bytes),
                E::None
            );
        }
        ostrakon_next_deadline(mount, &mut deadline);
    }
    deadline.clamp(now + 1, now + 1_000_000)
}

#[test]
fn a_callback_that_calls_back_is_refused_and_the_mount_goes_on() {
    let mut caller = Caller {
        mount: ptr::null_mut(),
        found: None,
    };
    let context = &raw mut caller;
    let (mut memory, mut device, service) = (Memory::new(), device(), service(context));
    let mut config = voter();
    config.service = &service;
    let (error, mount) = memory.start(&config);
    assert_eq!(error, E::None);
    let (mut now, mut ballot) = (1, ostrakon_ballot::default());
    // SAFETY: the mount lives, and the caller is touched between two calls only.
    unsafe {
        (*context).mount = mount;
        while (*context).found.is_none() {
            assert!(
                now < 60_000_000,
                "alone on its volume it is elected within a minute"
            );
            now = turn(mount, &mut device, now);
        }
        assert_eq!((*context).found, Some(E::Reentered));
        turn(mount, &mut device, now);
        assert_eq!(ostrakon_right(mount, now, &mut ballot), E::None);
    }
    assert_eq!(ballot, ostrakon_ballot { term: 1, rid: 7 });
}

#[test]
fn every_error_has_its_own_text() {
    let text = |code| {
        // SAFETY: a constant that ends with a zero.
        unsafe { CStr::from_ptr(ostrakon_error_text(code)) }
    };
    let known: Vec<_> = (0..=E::VolumeSecret as i32).map(text).collect();
    for (code, found) in known.iter().enumerate() {
        assert!(
            !found.is_empty() && !known[..code].contains(found),
            "{code}: {found:?}"
        );
    }
    assert_eq!(text(-1), text(E::VolumeSecret as i32 + 1));
    assert!(
        !known.contains(&text(-1)),
        "an unknown code has a text that says so"
    );
}

#[test]
fn a_volume_that_could_not_be_used_is_not_laid_out() {
    type Change = fn(&mut ostrakon_new_volume);
    let cases: [(Change, E); 6] = [
        (|_| {}, E::None),
        (|volume| volume.quorum_count = 0, E::VolumeGeometry),
        (|volume| volume.quorum_count = 17, E::VolumeGeometry),
        (|volume| volume.clients_max = 0, E::VolumeGeometry),
        (|volume| volume.id = [0; 16], E::VolumeSecret),
        (|volume| volume.key = [0; 32], E::VolumeSecret),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let mut volume = ostrakon_new_volume {
            id: [1; 16],
            key: [2; 32],
            device_blocks: 4096,
            clients_max: CLIENTS,
            quorum_count: 1,
            reserved: 0,
        };
        change(&mut volume);
        let (mut block, mut at) = (vec![0; OSTRAKON_BLOCK_BYTES], 0);
        // SAFETY: memory of ours, as large as is said.
        let found = unsafe { ostrakon_format_block(&volume, 0, block.as_mut_ptr(), block.len(), &mut at) };
        assert_eq!(found, expected, "case {index}");
    }
}
