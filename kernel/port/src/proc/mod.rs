//! Processes: what one is ([`process`]) and how it runs and ends ([`life`], [`broken`]), notes ([`notes`]) and alarms
//! ([`alarm`]), how processes meet ([`rendezvous`]), and the words that control one ([`procctl`]).

pub mod alarm;
pub mod broken;
pub mod life;
pub mod notes;
pub mod procctl;
pub mod process;
pub mod rendezvous;
