//! While a server runs, nobody else touches the shared device.

use std::io::Write;
use std::thread;
use std::time::Duration;

use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::{Cluster, IMAGE_BYTES, MountId};
use ostrakon_xtask::failure::{During, Result, ensure};
use ostrakon_xtask::skipped;

use crate::support::{binary, folder, leader};

/// How long everybody is watched.
const WATCH: Duration = Duration::from_secs(4);

/// Watches that are tried: one in which something happened shows nothing of how it is when nothing does. A busy machine may keep a
/// voter from its server long enough for it to ask for another.
const WATCHES: u32 = 10;

/// Stated bound of a server without clients that come and go: a look at the doorbell about once a second, and now
/// and then a scrub write. Twice a second four blocks is more than that.
const SERVER_BYTES_PER_SECOND: u64 = 2 * 4 * 4096;

#[test]
fn voters_and_clients_do_no_io_while_a_server_runs() -> Result<()> {
    let mut cluster = Cluster::unformatted(binary(), folder(), "idle")?;
    // Written in full: reading a hole of a sparse file would not count as reading from storage.
    let mut image = std::fs::File::create(cluster.image()).during("making the image")?;
    for _ in 0..IMAGE_BYTES >> 20 {
        image.write_all(&[0; 1 << 20]).during("filling the image")?;
    }
    image.sync_all().during("filling the image")?;
    cluster.tool().format(2, None)?;
    let mut ids = Vec::new();
    for name in ["idle0", "idle1", "idle2"] {
        ids.push(cluster.voter(name)?);
    }
    ids.push(cluster.client("idle-client")?);
    cluster.wait_connected(&ids, Mark::START)?;
    for _ in 0..WATCHES {
        // What an election leaves behind (a last vote, a scrub) is over soon.
        thread::sleep(Duration::from_secs(3));
        let from = cluster.log().mark();
        let server = leader(&cluster)?;
        if cluster.get(server).storage_bytes()?.0 == 0 {
            skipped::note("idle I/O", "the kernel does not count this file system's reads");
            return Ok(());
        }
        let before = moved_by(&cluster, &ids)?;
        thread::sleep(WATCH);
        let after = moved_by(&cluster, &ids)?;
        if cluster.log().since(from).is_empty() {
            return nobody_moved_much(&cluster, server, &ids, &before, &after);
        }
    }
    Err(cluster.failed("never were all of them left alone"))
}

/// Bytes that each has read and written in all.
fn moved_by(cluster: &Cluster, ids: &[MountId]) -> Result<Vec<(u64, u64)>> {
    ids.iter().map(|&id| cluster.get(id).storage_bytes()).collect()
}

fn nobody_moved_much(
    cluster: &Cluster,
    server: MountId,
    ids: &[MountId],
    before: &[(u64, u64)],
    after: &[(u64, u64)],
) -> Result<()> {
    for (&id, (before, after)) in ids.iter().zip(before.iter().zip(after)) {
        let moved = (after.0 - before.0) + (after.1 - before.1);
        let limit = if id == server {
            SERVER_BYTES_PER_SECOND * WATCH.as_secs()
        } else {
            0
        };
        println!(
            "{}: {moved} bytes in {WATCH:?}, at most {limit}",
            cluster.name(id)
        );
        ensure(moved <= limit, || {
            format!(
                "{} moved {moved} bytes, at most {limit} expected",
                cluster.name(id)
            )
        })?;
    }
    Ok(())
}
