//! What a voter writes: its vote with the merged log, and the doorbell.

use crate::format::{Answer, Doorbell, QuorumHead, VoteKind, encode_quorum};
use crate::ids::{BlockNo, WriteNr};

use super::Election;
use super::stage::Stage;

impl Election {
    /// Whether the own ballot stands in the log: from the first write after winning.
    pub(super) const fn has_entered_log(&self) -> bool {
        !matches!(self.stage, Stage::Candidate { .. })
    }

    /// Encodes the vote for block `index` of the region, under a new write number.
    pub(super) fn encode_vote(&mut self, index: usize, block: &mut [u8]) -> Option<BlockNo> {
        let (at, volume) = (self.region_block(index)?, self.state()?.volume);
        self.said.write_nr = WriteNr(self.said.write_nr.0 + 1);
        let head = self.head();
        encode_quorum(&head, self.log.entries(), at, volume, self.config.checksum, block);
        self.witness.wrote(index, self.config.rid, self.said.write_nr);
        Some(at)
    }

    fn head(&self) -> QuorumHead {
        let (kind, vote_for, round) = self.speech();
        // One that withdraws does not hold others off, though its ballot is live until its fences are answered.
        let won = matches!(
            self.stage,
            Stage::Seal { .. } | Stage::Silence(_) | Stage::Claim { .. } | Stage::Lead(_)
        );
        QuorumHead {
            writer: self.config.rid,
            host: self.config.host,
            boot: self.config.boot,
            write_nr: self.said.write_nr,
            term: self.said.term,
            kind,
            vote_for,
            own: self.own,
            void_term: self.said.void_term,
            won,
            sealed: matches!(
                self.stage,
                Stage::Silence(_) | Stage::Claim { .. } | Stage::Lead(_)
            ),
            barren: self.said.barren,
            round,
            answer: self.answer(),
            cycle: self.pace.cycle(),
        }
    }

    /// Kind, subject and round of what the stage has to say.
    fn speech(&self) -> (VoteKind, Option<crate::ids::Rid>, u32) {
        let me = self.config.rid;
        // A vote for itself is a candidate's only: never adopted back, never refreshed afterwards.
        let vote = self.said.voted.filter(|&rid| rid != me);
        match &self.stage {
            Stage::Candidate { .. } => (VoteKind::Vote, Some(me), self.said.round),
            Stage::Ask(_) => (VoteKind::Ask, Some(me), self.said.round),
            Stage::Follow(_) => match self.asker_to_support() {
                Some((asker, round)) => (VoteKind::Yes, Some(asker), round),
                None => (VoteKind::Vote, vote, self.said.round),
            },
            Stage::Seal { .. } | Stage::Silence(_) | Stage::Claim { .. } | Stage::Lead(_) => {
                (VoteKind::Leader, Some(me), self.said.round)
            }
            Stage::Off
            | Stage::Gate { .. }
            | Stage::Rest { .. }
            | Stage::Withdraw { .. }
            | Stage::Stop(_) => (VoteKind::Vote, vote, self.said.round),
        }
    }

    fn answer(&self) -> Option<Answer> {
        let Stage::Lead(lead) = &self.stage else {
            return None;
        };
        let pinged = self.collect_began.since(lead.bell_since?) >= crate::bounds::PONG_TIME;
        (self.facts.serving && pinged).then(|| Answer {
            voters: self.facts.voters.max(1),
            interval: self.pace.answer_interval(),
        })
    }

    /// Encodes a ring of the doorbell.
    pub(super) fn encode_ring(&mut self, block: &mut [u8]) -> Option<BlockNo> {
        let (at, volume) = (self.state()?.geometry.doorbell, self.state()?.volume);
        self.said.ring += 1;
        let bell = Doorbell {
            rid: Some(self.config.rid),
            ring: self.said.ring,
            term: self.said.term,
        };
        bell.encode(at, volume, self.config.checksum, block);
        Some(at)
    }
}
