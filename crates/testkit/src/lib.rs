//! Builders of Kubernetes objects for Plimsoll's tests
