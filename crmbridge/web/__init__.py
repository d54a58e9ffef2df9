"""What crmbridge shows over HTTP: hooks and health for the outside, metrics and the admin API for its operators."""
