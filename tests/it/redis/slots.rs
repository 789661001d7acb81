//! A Cluster, whose scripts reach no further than a slot.
