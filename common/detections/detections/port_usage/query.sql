SELECT destination_port, protocol, sessions
FROM port_sessions
