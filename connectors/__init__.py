"""The connectors shipped with crmbridge: one folder for each CRM and each network."""
