//! Any content of a block: what the property tests write and read again, and what the fuzzer starts from
//! (`tests/fuzz` compiles this file too).

// Core has no std of its own; a crate that has one hears nothing new.
#[allow(unused_extern_crates)]
extern crate std;

use core::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::vec::Vec;

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::bounds::{CLIENTS_LIMIT, COUNTER_MAX, LOG_ENTRIES_MAX, QUIET_MS_MAX, TERM_MAX};
use crate::format::hello::Offer;
use crate::format::wire::{Greeting, Welcome};
use crate::format::{
    Answer, ClientRecord, Doorbell, FenceMethod, FenceParam, FenceReason, FenceRecord, FenceResult, FenceWay,
    Geometry, LogEntry, QuorumHead, SuperBlock, VoteKind,
};
use crate::ids::{Ballot, BootId, HostId, Mark, Rid, Term, VolumeId, VolumeKey, WriteNr};
use crate::time::Duration;

pub(crate) fn any_rid(u: &mut Unstructured<'_>) -> Result<Rid> {
    Ok(Rid::new(u.int_in_range(1..=u64::MAX)?).expect("not 0"))
}

pub(crate) fn any_term(u: &mut Unstructured<'_>) -> Result<Term> {
    Ok(Term(u.int_in_range(0..=TERM_MAX)?))
}

pub(crate) fn any_ballot(u: &mut Unstructured<'_>) -> Result<Ballot> {
    Ok(Ballot {
        term: Term(u.int_in_range(1..=TERM_MAX)?),
        rid: any_rid(u)?,
    })
}

pub(crate) fn maybe<T>(
    u: &mut Unstructured<'_>,
    some: impl FnOnce(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Option<T>> {
    bool::arbitrary(u)?.then(|| some(u)).transpose()
}

pub(crate) fn any_addr(u: &mut Unstructured<'_>) -> Result<SocketAddr> {
    let port = u.arbitrary()?;
    if u.arbitrary()? {
        return Ok((<[u8; 4]>::arbitrary(u)?, port).into());
    }
    let ip = Ipv6Addr::from(<[u8; 16]>::arbitrary(u)?);
    Ok(SocketAddrV6::new(ip, port, 0, u.arbitrary()?).into())
}

pub(crate) fn any_geometry(u: &mut Unstructured<'_>) -> Result<Geometry> {
    let clients_max = u.int_in_range(1..=CLIENTS_LIMIT)?;
    let device_blocks = u.int_in_range(1 << 17..=1 << 52)?;
    Ok(Geometry::plan(device_blocks, clients_max).expect("room for any table"))
}

pub(crate) fn any_super(u: &mut Unstructured<'_>) -> Result<SuperBlock> {
    let server = maybe(u, any_ballot)?;
    let fenced = match maybe(u, any_ballot)? {
        Some(ballot) if u.arbitrary()? => Mark::at(ballot),
        Some(ballot) => Mark::below(ballot),
        None => Mark::NONE,
    };
    Ok(SuperBlock {
        volume: VolumeId(u.arbitrary()?),
        seq: u.int_in_range(0..=COUNTER_MAX)?,
        quorum_count: u.int_in_range(1..=u16::MAX)?,
        fenced,
        server,
        server_addr: match server {
            Some(_) => maybe(u, any_addr)?,
            None => None,
        },
        unmount_barrier: u.int_in_range(0..=COUNTER_MAX)?,
        geometry: any_geometry(u)?,
        key: VolumeKey(u.arbitrary()?),
    })
}

pub(crate) fn any_head(u: &mut Unstructured<'_>) -> Result<QuorumHead> {
    let writer = any_rid(u)?;
    Ok(QuorumHead {
        writer,
        host: HostId(u.arbitrary()?),
        boot: BootId(u.arbitrary()?),
        write_nr: WriteNr(u.arbitrary()?),
        term: any_term(u)?,
        kind: *u.choose(&[VoteKind::Vote, VoteKind::Ask, VoteKind::Yes, VoteKind::Leader])?,
        vote_for: maybe(u, any_rid)?,
        own: maybe(u, any_ballot)?.map(|ballot| Ballot {
            rid: writer,
            ..ballot
        }),
        void_term: any_term(u)?,
        won: u.arbitrary()?,
        sealed: u.arbitrary()?,
        barren: u.arbitrary()?,
        round: u.arbitrary()?,
        answer: maybe(u, |u| {
            Ok(Answer {
                voters: u.int_in_range(1..=u16::MAX)?,
                interval: Duration(u.arbitrary()?),
            })
        })?,
        cycle: Duration(u.arbitrary()?),
    })
}

pub(crate) fn any_log(u: &mut Unstructured<'_>) -> Result<Vec<LogEntry>> {
    let mut log = Vec::new();
    for _ in 0..u.int_in_range(0..=LOG_ENTRIES_MAX)? {
        log.push(LogEntry {
            ballot: any_ballot(u)?,
            host: HostId(u.arbitrary()?),
            boot: BootId(u.arbitrary()?),
            addr: any_addr(u)?,
            quiet_ms: u.int_in_range(0..=QUIET_MS_MAX)?,
            fenced: u.arbitrary()?,
            fence_param: FenceParam(u.arbitrary()?),
        });
    }
    log.sort_by_key(|entry| entry.ballot.rid);
    log.dedup_by_key(|entry| entry.ballot.rid);
    Ok(log)
}

pub(crate) fn any_record(u: &mut Unstructured<'_>) -> Result<ClientRecord> {
    Ok(ClientRecord {
        rid: any_rid(u)?,
        barrier: u.arbitrary()?,
        voter: u.arbitrary()?,
        evicted: u.arbitrary()?,
        host: HostId(u.arbitrary()?),
        boot: BootId(u.arbitrary()?),
        addr: maybe(u, any_addr)?,
        fence_param: FenceParam(u.arbitrary()?),
    })
}

pub(crate) fn any_bell(u: &mut Unstructured<'_>) -> Result<Doorbell> {
    maybe(u, any_rid)?.map_or(Ok(Doorbell::SILENT), |rid| {
        Ok(Doorbell {
            rid: Some(rid),
            ring: u.arbitrary()?,
            term: any_term(u)?,
        })
    })
}

pub(crate) fn any_fence(u: &mut Unstructured<'_>) -> Result<FenceRecord> {
    Ok(FenceRecord {
        term: any_term(u)?,
        rid: any_rid(u)?,
        host: HostId(u.arbitrary()?),
        addr: maybe(u, any_addr)?,
        by: any_ballot(u)?,
        unix_s: u.arbitrary()?,
        attempts: u.arbitrary()?,
        others: u.arbitrary()?,
        why: *u.choose(&[FenceReason::Predecessor, FenceReason::Place, FenceReason::Absent])?,
        how: *u.choose(&[FenceWay::Fence, FenceWay::Lease, FenceWay::Evicted])?,
        result: *u.choose(&[FenceResult::Done, FenceResult::Failed])?,
        method: FenceMethod(u.arbitrary()?),
    })
}

pub(crate) fn any_greeting(u: &mut Unstructured<'_>) -> Result<Greeting> {
    Ok(Greeting {
        volume: VolumeId(u.arbitrary()?),
        format: u.arbitrary()?,
        rid: any_rid(u)?,
        voter: u.arbitrary()?,
        farewell: u.arbitrary()?,
        server: maybe(u, any_ballot)?,
        host: HostId(u.arbitrary()?),
        boot: BootId(u.arbitrary()?),
        addr: maybe(u, any_addr)?,
        fence_param: FenceParam(u.arbitrary()?),
    })
}

/// How long a client may say nothing.
pub(crate) fn any_ping_ms(u: &mut Unstructured<'_>) -> Result<u16> {
    u.int_in_range(1..=u16::MAX)
}

pub(crate) fn any_welcome(u: &mut Unstructured<'_>) -> Result<Welcome> {
    Ok(Welcome {
        server: any_ballot(u)?,
        barrier: u.arbitrary()?,
        voter: u.arbitrary()?,
        known: u.arbitrary()?,
        ping_ms: any_ping_ms(u)?,
    })
}

pub(crate) fn any_offer(u: &mut Unstructured<'_>) -> Result<Offer> {
    Ok(Offer {
        oldest: u.arbitrary()?,
        newest: u.arbitrary()?,
        features: u.arbitrary()?,
        needed: u.arbitrary()?,
    })
}
