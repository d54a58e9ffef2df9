"""What crmbridge shows of itself over HTTP: hooks and health for the outside, metrics and the admin API for its people."""
