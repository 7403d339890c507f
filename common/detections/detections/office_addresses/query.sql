SELECT DISTINCT address FROM office_identities
