//! A stand-in Kubernetes API server, in memory and over real HTTP, for demo, development and tests
