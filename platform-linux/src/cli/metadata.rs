//! What `ostrakon fence-kill` says of itself to cluster software.

/// The document that fence agents print for the action `metadata`.
pub(super) const METADATA: &str = r#"<?xml version="1.0" ?>
<resource-agent name="ostrakon fence-kill" shortdesc="Kills the process of an ostrakon mount on this host">
<longdesc>Kills the process of an ostrakon mount on this host and confirms when its last thread, and with it its last I/O, is gone. For demonstrations, tests, and several mounts on one machine. It cannot reach another machine.</longdesc>
<parameters>
	<parameter name="action" unique="0" required="1">
		<getopt mixed="-o, --action=[action]" />
		<content type="string" default="off" />
		<shortdesc lang="en">Fencing action</shortdesc>
	</parameter>
	<parameter name="plug" unique="0" required="0" obsoletes="port">
		<getopt mixed="--rid=[rid]" />
		<content type="string" />
		<shortdesc lang="en">The mount, by its rid in hexadecimal; ostrakon_rid comes first</shortdesc>
	</parameter>
	<parameter name="ostrakon_rid" unique="0" required="0">
		<getopt mixed="--rid=[rid]" />
		<content type="string" />
		<shortdesc lang="en">The mount, by its rid in hexadecimal</shortdesc>
	</parameter>
	<parameter name="timeout_ms" unique="0" required="0">
		<getopt mixed="--timeout-ms=[milliseconds]" />
		<content type="integer" default="10000" />
		<shortdesc lang="en">How long to wait for the process to be gone</shortdesc>
	</parameter>
</parameters>
<actions>
	<action name="off" />
	<action name="reboot" />
	<action name="status" />
	<action name="monitor" />
	<action name="metadata" />
	<action name="validate-all" />
</actions>
</resource-agent>"#;
