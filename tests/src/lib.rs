//! End-to-end tests: what a user does
