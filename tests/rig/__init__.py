"""What tests that run the real daemon share: namespaces, processes, the daemon, traffic, frames and peers."""
