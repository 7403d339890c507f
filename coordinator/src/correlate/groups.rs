//! Disjoint groups of indices.

/// A forest of indices, each in one group.
pub(super) struct Groups(Vec<usize>);

impl Groups {
    /// `count` groups of one.
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// The smallest index of a group.
    pub(super) fn root(&mut self, index: usize) -> usize {
        let mut root = index;
        while self.0[root] != root {
            self.0[root] = self.0[self.0[root]];
            root = self.0[root];
        }
        root
    }

    /// Makes one group of two.
    pub(super) fn unite(&mut self, left: usize, right: usize) {
        let (left, right) = (self.root(left), self.root(right));
        self.0[left.max(right)] = left.min(right);
    }
}
