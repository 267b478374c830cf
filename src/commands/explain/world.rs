//! The cluster that the objects show, as a table to decide on.

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::table::{Row, Table, View};

use super::load::Decoded;

/// The cluster.
#[derive(Default)]
pub(super) struct World {
    table: Table,
}

impl World {
    pub(super) fn view(&self) -> &View {
        self.table.view()
    }

    /// The row of a node.
    pub(super) fn row(&self, node: &Istr) -> Option<Row> {
        self.table.row(node)
    }

    /// The table, to try what would be if a node were another.
    pub(super) fn table_mut(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Puts an object where it counts.
    pub(super) fn take(&mut self, object: Decoded) {
        match object {
            Decoded::Node(node) => drop(self.table.set_node(Arc::new(*node))),
            // It has run to its end and takes up nothing.
            Decoded::Pod(pod) if pod.finished => {}
            Decoded::Pod(pod) => match (pod.node_name.clone(), pod.nominated_node_name.clone()) {
                (Some(node), _) => drop(self.table.add_pod(&node, Arc::new(*pod))),
                (None, Some(node)) => self.table.nominations_mut().set(node, Arc::new(*pod)),
                (None, None) => {}
            },
            Decoded::Namespace(name, labels) => self.table.set_namespace(name, Some(Arc::new(labels))),
            Decoded::Object(kind, key, object) => {
                self.table.cluster_mut().set_object(kind, key, Some(object));
            }
            Decoded::Nothing => {}
        }
    }
}
