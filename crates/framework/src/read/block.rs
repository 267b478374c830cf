//! 64 nodes at once, by columns.

use super::*;

/// 64 rows of the view at once; never seen through an overlay.
#[derive(Clone, Copy)]
pub struct RawBlock<'a> {
    pub(crate) view: &'a View,
    pub(crate) counters: &'a Counters,
    pub(crate) first: Row,
    pub(crate) lanes: u64,
}

/// 64 rows at once, through `R` only.
pub struct Block<'a, R: Read> {
    raw: RawBlock<'a>,
    chunk: &'a Chunk,
    base: usize,
    reads: PhantomData<R>,
}

impl<'a, R: Read> Block<'a, R> {
    /// `None` where the block lies beyond the table.
    pub(crate) fn new(raw: RawBlock<'a>) -> Option<Self> {
        let first = raw.first as usize;
        Some(Self { raw, chunk: raw.view.chunks.get(first / ROWS)?, base: first % ROWS, reads: PhantomData })
    }

    /// The rows that are asked about, as bits.
    pub fn lanes(&self) -> u64 {
        self.raw.lanes
    }

    /// Calls `f` with the lane and what the plugin declared, for every row that is asked about.
    pub fn each(&self, f: impl FnMut(usize, R::Item<'a>)) {
        self.each_of(u64::MAX, f);
    }

    /// As [`Block::each`], for those of the rows that are set in `lanes`.
    pub fn each_of(&self, lanes: u64, mut f: impl FnMut(usize, R::Item<'a>)) {
        for lane in bits(self.raw.lanes & lanes) {
            let at = self.base + lane as usize;
            let chunk = self.chunk;
            let row = self.raw.first + lane;
            let (view, counters, usage) = (self.raw.view, self.raw.counters, &*chunk.usage);
            let at = At { view, overlay: None, counters, chunk, usage, row, at, usage_at: at };
            f(lane as usize, R::item(&at));
        }
    }

    /// The columns of the block, where `R` has columns.
    pub fn cols(&self) -> R::Cols<'a>
    where
        R: ReadCols,
    {
        R::cols(self.chunk, self.base)
    }
}

impl<'a> Block<'a, TopologyDomains> {
    /// The counts in the domains of the block's nodes.
    pub fn domains(&self) -> DomainCols<'a> {
        DomainCols::new(self.raw.counters, self.raw.first)
    }
}

/// Something that can be read by columns.
pub trait ReadCols: Read {
    /// The columns of 64 rows.
    type Cols<'a>;
    #[doc(hidden)]
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> Self::Cols<'a>;
}

/// A column of a block.
pub type Lanes = [i64; LANES];

fn lanes(column: &[i64; ROWS], base: usize) -> &Lanes {
    // The base is always one of 0, 64, 128, 192.
    column[base..].first_chunk().unwrap_or(&[0; LANES])
}

/// Amounts of 64 nodes.
#[derive(Clone, Copy)]
pub struct AmountCols<'a> {
    /// Thousandths of a CPU.
    pub milli_cpu: &'a Lanes,
    /// Bytes.
    pub memory_bytes: &'a Lanes,
    /// Bytes.
    pub ephemeral_storage_bytes: &'a Lanes,
    /// Number of pods.
    pub pods: &'a Lanes,
    scalars: &'a [[i64; ROWS]],
    base: usize,
}

impl<'a> AmountCols<'a> {
    /// A scalar resource; `None` when no node of the block has or had any.
    pub fn scalar(&self, column: ColumnId) -> Option<&'a Lanes> {
        self.scalars.get(column.0).map(|c| lanes(c, self.base))
    }
}

impl ReadCols for Allocatable {
    type Cols<'a> = AmountCols<'a>;
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> AmountCols<'a> {
        let o = &*chunk.objects;
        AmountCols {
            milli_cpu: lanes(&o.milli_cpu, base),
            memory_bytes: lanes(&o.memory_bytes, base),
            ephemeral_storage_bytes: lanes(&o.ephemeral_storage_bytes, base),
            pods: lanes(&o.pods, base),
            scalars: &o.scalars,
            base,
        }
    }
}

impl ReadCols for Requested {
    type Cols<'a> = AmountCols<'a>;
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> AmountCols<'a> {
        let u = &*chunk.usage;
        AmountCols {
            milli_cpu: lanes(&u.milli_cpu, base),
            memory_bytes: lanes(&u.memory_bytes, base),
            ephemeral_storage_bytes: lanes(&u.ephemeral_storage_bytes, base),
            pods: lanes(&u.pods, base),
            scalars: &u.scalars,
            base,
        }
    }
}

impl ReadCols for NonZeroRequested {
    type Cols<'a> = AmountCols<'a>;
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> AmountCols<'a> {
        let u = &*chunk.usage;
        AmountCols {
            milli_cpu: lanes(&u.non_zero_milli_cpu, base),
            memory_bytes: lanes(&u.non_zero_memory_bytes, base),
            ..Requested::cols(chunk, base)
        }
    }
}

/// Which rows of a block are set.
macro_rules! bit_cols {
    ($($marker:ident => $field:ident),*) => {$(
        impl ReadCols for $marker {
            type Cols<'a> = u64;
            fn cols(chunk: &Chunk, base: usize) -> u64 { chunk.objects.$field[base / LANES] }
        }
    )*};
}
bit_cols! { Unschedulable => unschedulable }

impl ReadCols for Taints {
    /// The rows with taints that keep pods away, and those with taints that make them less liked.
    type Cols<'a> = (u64, u64);
    fn cols(chunk: &Chunk, base: usize) -> (u64, u64) {
        (chunk.objects.hard_taints[base / LANES], chunk.objects.soft_taints[base / LANES])
    }
}

/// The images of 64 nodes.
#[derive(Clone, Copy)]
pub struct ImageCols<'a> {
    images: &'a hashbrown::HashMap<Istr, RowBits>,
    block: usize,
}

impl ImageCols<'_> {
    /// The rows that have an image of this name.
    pub fn with(&self, name: &Istr) -> u64 {
        self.images.get(name).map_or(0, |rows| rows[self.block])
    }
}

impl ReadCols for Images {
    type Cols<'a> = ImageCols<'a>;
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> ImageCols<'a> {
        ImageCols { images: &chunk.objects.images, block: base / LANES }
    }
}

/// The host ports in use on 64 nodes.
#[derive(Clone, Copy)]
pub struct PortCols<'a> {
    ports: &'a [(u8, HostPort)],
    block: usize,
}

impl<'a> PortCols<'a> {
    /// The ports with the lane of their node, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &'a HostPort)> {
        let block = self.block;
        let ports = self.ports.iter().map(|(row, port)| (usize::from(*row), port));
        ports.filter(move |(row, _)| row / LANES == block).map(|(row, port)| (row % LANES, port))
    }
}

impl ReadCols for Ports {
    type Cols<'a> = PortCols<'a>;
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> PortCols<'a> {
        PortCols { ports: &chunk.usage.ports, block: base / LANES }
    }
}

impl<A: ReadCols, B: ReadCols> ReadCols for (A, B) {
    type Cols<'a> = (A::Cols<'a>, B::Cols<'a>);
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> Self::Cols<'a> {
        (A::cols(chunk, base), B::cols(chunk, base))
    }
}
impl<A: ReadCols, B: ReadCols, C: ReadCols> ReadCols for (A, B, C) {
    type Cols<'a> = (A::Cols<'a>, B::Cols<'a>, C::Cols<'a>);
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> Self::Cols<'a> {
        (A::cols(chunk, base), B::cols(chunk, base), C::cols(chunk, base))
    }
}
