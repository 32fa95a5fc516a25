//! Several nodes in one run from one seed, each on a disk of its own, acting in an order by chance.

use crate::counts::Counts;
use crate::model::Fault;
use crate::node::Node;
use crate::random::Random;

pub(crate) struct World {
    random: Random,
    nodes: Vec<Node>,
}

impl World {
    pub(crate) fn new(seed: u64, nodes: u64, is_traced: bool) -> Self {
        let mut random = Random::new(seed);
        let nodes = (0..nodes).map(|_| Node::new(random.next(), is_traced)).collect();
        Self { random, nodes }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How often each thing happened, to all nodes together.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.nodes.iter().for_each(|node| counts.add(&node.counts()));
        counts
    }

    /// Runs until every node has lived its lives.
    pub(crate) fn run(&mut self) -> Result<(), Fault> {
        let mut acting: Vec<usize> = (0..self.nodes.len()).collect();
        while !acting.is_empty() {
            let turn = self.random.index(acting.len());
            let node = acting[turn];
            let acted = self.nodes[node].act().map_err(|fault| format!("node {node}: {fault}"))?;
            if !acted {
                acting.swap_remove(turn);
            }
        }
        Ok(())
    }
}
