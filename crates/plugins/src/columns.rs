//! Resources by the column in which the node table keeps them.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::read::{AmountCols, Amounts, ColumnId, Lanes, ResourceNumbers};

/// Where the amounts of a resource are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    MilliCpu,
    MemoryBytes,
    EphemeralStorageBytes,
    Scalar(ColumnId),
}

impl Column {
    /// The column of a resource; `None` when no node has any of it, or scheduling does not count it.
    pub(crate) fn of(name: &Istr, numbers: ResourceNumbers<'_>) -> Option<Self> {
        match &**name {
            "cpu" => Some(Self::MilliCpu),
            "memory" => Some(Self::MemoryBytes),
            "ephemeral-storage" => Some(Self::EphemeralStorageBytes),
            _ => numbers.get(name).map(Self::Scalar),
        }
    }

    /// The amount of one node.
    pub(crate) fn amount(self, of: &Amounts<'_>) -> i64 {
        match self {
            Self::MilliCpu => of.milli_cpu,
            Self::MemoryBytes => of.memory_bytes,
            Self::EphemeralStorageBytes => of.ephemeral_storage_bytes,
            Self::Scalar(column) => of.scalar(column),
        }
    }

    /// The amounts of 64 nodes.
    pub(crate) fn lanes<'a>(self, of: &AmountCols<'a>) -> &'a Lanes {
        match self {
            Self::MilliCpu => of.milli_cpu,
            Self::MemoryBytes => of.memory_bytes,
            Self::EphemeralStorageBytes => of.ephemeral_storage_bytes,
            Self::Scalar(column) => of.scalar(column).unwrap_or(&[0; 64]),
        }
    }
}
