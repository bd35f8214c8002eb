//! Blind store-and-forward: envelopes at addresses that mean nothing, in memory only.
