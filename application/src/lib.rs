//! What the gateway does, in order, and the ports it needs.
