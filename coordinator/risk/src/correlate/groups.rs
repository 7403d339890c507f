//! Disjoint sets of indices (union-find).

/// A partition of indices into groups.
pub(super) struct Groups(Vec<usize>);

impl Groups {
    /// `count` groups of one index each.
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// The smallest index of the group of `index`.
    pub(super) fn root(&mut self, index: usize) -> usize {
        let mut root = index;
        while self.0[root] != root {
            self.0[root] = self.0[self.0[root]];
            root = self.0[root];
        }
        root
    }

    /// Merges the groups of two indices.
    pub(super) fn unite(&mut self, left: usize, right: usize) {
        let (left, right) = (self.root(left), self.root(right));
        self.0[left.max(right)] = left.min(right);
    }
}
