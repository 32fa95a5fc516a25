//! Budgets of bytes that many connections share, so that the memory of all of them is bounded. Never waits: two
//! connections that each hold a half and wait for the rest would wait for ever.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of bytes that may be held at a time.
#[derive(Clone, Debug)]
pub(crate) struct ByteBudget(Arc<Semaphore>);

/// The budget has not that many bytes left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the budget of bytes is spent")]
pub(crate) struct BudgetSpent;

/// Bytes of a budget that one holder has; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct ReservedBytes {
    budget: ByteBudget,
    permit: Option<OwnedSemaphorePermit>,
}

impl ByteBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// No bytes yet.
    pub(crate) fn holder(&self) -> ReservedBytes {
        ReservedBytes { budget: self.clone(), permit: None }
    }

    /// Bytes that are not held.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.0.available_permits()
    }
}

impl ReservedBytes {
    pub(crate) fn bytes(&self) -> usize {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Gives back everything over that number of bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes().saturating_sub(bytes);
        if let Some(permit) = &mut self.permit {
            drop(permit.split(surplus));
        }
    }

    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<(), BudgetSpent> {
        let bytes = u32::try_from(bytes).map_err(|_too_many| BudgetSpent)?;
        let more = Arc::clone(&self.budget.0).try_acquire_many_owned(bytes).map_err(|_spent| BudgetSpent)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_bytes_come_back_and_never_exceed_the_budget() {
        let budget = ByteBudget::new(10);
        let (mut first, mut second) = (budget.holder(), budget.holder());
        assert_eq!(
            (first.reserve(6), first.reserve(2), second.reserve(3)),
            (Ok(()), Ok(()), Err(BudgetSpent))
        );
        assert_eq!((second.reserve(2), budget.left()), (Ok(()), 0));
        drop(first);
        assert_eq!((second.reserve(8), second.reserve(1)), (Ok(()), Err(BudgetSpent)));
        second.shrink_to(4);
        assert_eq!((second.bytes(), budget.left()), (4, 6));
        drop(second);
        assert_eq!(budget.left(), 10);
    }
}
