//! PostgreSQL behind the ports: rendering, execution, decoding, the schema reader and the managed cluster.
