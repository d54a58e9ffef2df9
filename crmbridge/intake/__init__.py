"""Changes come in: by poll or webhook, then observation -> event by the snapshot, then rules, then the outbox."""
