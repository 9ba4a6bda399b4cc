//! Random bytes on the device, and devices that are too short.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use ostrakon_core::bounds::{BLOCK_BYTES, REGION_BLOCKS, TORN_MAX};
use ostrakon_core::format::SUPER_COPIES;
use ostrakon_xtask::cluster::event::Kind;
use ostrakon_xtask::cluster::{Cluster, Options, PATIENCE};
use ostrakon_xtask::failure::{During, Result, ensure};

use crate::support::{Dice, leader, volume, voters, without};

/// Exit code of a Rust program that panicked.
const PANICKED: i32 = 101;

fn write_block(cluster: &Cluster, block: u64, bytes: &[u8]) -> Result<()> {
    let file = File::options()
        .write(true)
        .open(cluster.image())
        .during("opening the image")?;
    file.write_all_at(bytes, block * BLOCK_BYTES as u64)
        .during(format!("writing block {block}"))
}

fn read_block(cluster: &Cluster, block: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; BLOCK_BYTES];
    let file = File::open(cluster.image()).during("opening the image")?;
    file.read_exact_at(&mut bytes, block * BLOCK_BYTES as u64)
        .during(format!("reading block {block}"))?;
    Ok(bytes)
}

/// A command may fail, but in words.
fn answers(what: &str, output: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    let in_words = output.status.success() || !said.trim().is_empty();
    let crashed = output.status.code() == Some(PANICKED) || output.status.signal().is_some();
    ensure(!crashed && in_words && !said.contains("panicked"), || {
        format!("{what}: ended with {}, said {said:?}", output.status)
    })
}

fn status_and_dump_answer(cluster: &Cluster, what: &str) -> Result<()> {
    for verb in ["status", "dump"] {
        for arguments in [&[][..], &["--json"]] {
            answers(
                &format!("{verb} with {what}"),
                &cluster.tool().run(verb, arguments)?,
            )?;
        }
    }
    Ok(())
}

/// Blocks of the quorum region, as the dump numbers them.
fn region(cluster: &Cluster) -> Result<Vec<u64>> {
    let blocks: Vec<u64> = cluster.dump()?.region().into_iter().collect();
    ensure(blocks.len() == REGION_BLOCKS, || {
        format!("expected {REGION_BLOCKS} blocks in the dump: {blocks:?}")
    })?;
    Ok(blocks)
}

#[test]
fn random_bytes_in_any_block_are_answered_in_words() -> Result<()> {
    let mut dice = Dice::new()?;
    let (mut cluster, ids) = voters("random-bytes", 2, 2)?;
    for &id in &ids {
        cluster.kill(id)?;
    }
    let region = region(&cluster)?;
    // The doorbell and the first records follow the region.
    let last = region.last().copied().unwrap_or_default() + 8;
    let supers = SUPER_COPIES.map(|block| block.0);
    for block in supers.into_iter().chain(region[0]..=last) {
        let before = read_block(&cluster, block)?;
        write_block(&cluster, block, &dice.bytes(BLOCK_BYTES))?;
        status_and_dump_answer(&cluster, &format!("block {block} overwritten"))?;
        // One block is never enough to make a volume unreadable, nor its last leader forgotten.
        let status = cluster.status()?;
        ensure(status.quorum_count == 2, || {
            format!("with block {block} overwritten: {status:?}")
        })?;
        write_block(&cluster, block, &before)?;
    }
    Ok(())
}

#[test]
fn without_both_super_blocks_there_is_an_error_and_no_mount() -> Result<()> {
    let mut dice = Dice::new()?;
    let mut cluster = volume("no-super", 1)?;
    for block in SUPER_COPIES {
        write_block(&cluster, block.0, &dice.bytes(BLOCK_BYTES))?;
    }
    status_and_dump_answer(&cluster, "both super blocks overwritten")?;
    ensure(cluster.status().is_err(), || {
        "status believed random bytes".to_owned()
    })?;
    let voter = cluster.voter("voter")?;
    ends_with_words(&mut cluster, voter)
}

/// A mount of a broken device ends with an error.
fn ends_with_words(cluster: &mut Cluster, id: ostrakon_xtask::cluster::MountId) -> Result<()> {
    let status = cluster.get_mut(id).wait_exit(PATIENCE)?;
    let said = cluster.get(id).stderr();
    ensure(
        status.code().is_some_and(|code| code != 0 && code != PANICKED) && !said.contains("panicked"),
        || format!("expected an error in words; it ended with {status} and said {said:?}"),
    )
}

#[test]
fn truncated_devices_are_answered_in_words() -> Result<()> {
    let blocks = [0, 1, 16, 17, 33, 40, 64, 100, 128, 129];
    let lengths = blocks
        .map(|block| block * BLOCK_BYTES as u64)
        .into_iter()
        .chain([1, 511, 4_097]);
    for length in lengths {
        let mut cluster = volume("truncated", 1)?;
        let file = File::options()
            .write(true)
            .open(cluster.image())
            .during("opening the image")?;
        file.set_len(length).during(format!("truncating to {length}"))?;
        status_and_dump_answer(&cluster, &format!("{length} bytes left"))?;
        let options = Options::voter(cluster.free_addr()?);
        let id = cluster.mount(&format!("left{length}"), options)?;
        ends_with_words(&mut cluster, id)?;
    }
    Ok(())
}

/// As many blocks as the seal allows for are lost while a leader lives; its successor must still know of it.
#[test]
fn damage_within_the_budget_hides_no_leader() -> Result<()> {
    let mut dice = Dice::new()?;
    let (mut cluster, ids) = voters("hidden-leader", 3, 2)?;
    let old = leader(&cluster)?;
    let rid = cluster.rid(old)?;
    let mut region = region(&cluster)?;
    for _ in 0..TORN_MAX {
        let victim = usize::try_from(dice.below(region.len() as u64)).unwrap_or(0);
        write_block(&cluster, region.swap_remove(victim), &dice.bytes(BLOCK_BYTES))?;
    }
    let from = cluster.log().mark();
    // Frozen, not killed: it is not enough to find its connection refused.
    cluster.get_mut(old).freeze()?;
    cluster.wait_connected(&without(&ids, old), from)?;
    let fenced = cluster.log().find(from, |record| {
        (record.event.kind == Kind::Fenced && record.event.text("victim_rid") == Some(&rid)).then_some(())
    });
    ensure(fenced.is_some(), || {
        cluster
            .failed("the successor forgot its frozen predecessor")
            .to_string()
    })?;
    ensure(!cluster.get(old).is_running(), || "fenced, and alive".to_owned())
}
