//! Whole devices: any damage, forged blocks with right checksums, a device cut short. A mount of it never panics, and within
//! what the seal allows for it comes to serve and has its predecessor fenced.

use arbitrary::{Result, Unstructured};
use ostrakon_core::bounds::TORN_MAX;

use crate::cluster::Cluster;
use crate::volume::Device;

/// Virtual time in which a mount of a device that can be mounted serves.
const PATIENCE_MS: u64 = 120_000;

/// Harms a device and mounts it.
pub fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let (left, leader) = Device::of_a_dead_leader();
    let (mut device, leader) = if u.ratio(3, 4)? {
        (left.clone(), Some(*leader))
    } else {
        (Device::fresh(1), None)
    };
    let harm = device.harm(u)?;
    let survivable = !harm.beyond && harm.region <= TORN_MAX && harm.supers <= 1;
    let mut cluster = Cluster::start(device, 1, 1, *u.choose(&[64, 7, 1])?, None);
    cluster.run_until(PATIENCE_MS, |cluster| {
        cluster.server().is_some() || cluster.has_ended(0)
    });
    if survivable {
        assert!(
            cluster.server().is_some(),
            "{harm:?} kept the volume from being served"
        );
        if let Some(leader) = leader {
            assert!(
                cluster.was_fenced(leader),
                "{harm:?} made its dead leader forgotten"
            );
        }
    }
    Ok(())
}
