//! The real parts as values: started when made, gone when dropped.

#![allow(dead_code)] // each test module uses its own share

pub mod aws;
pub mod canaries;
pub mod docker;
pub mod fault_proxy;
pub mod front;
pub mod invariants;
pub mod pgseal;
pub mod platform;
pub mod ports;
pub mod postgres;
pub mod restore;
pub mod s3;
pub mod slow_link;
pub mod tls_front;
pub mod wait;
