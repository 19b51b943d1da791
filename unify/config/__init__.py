"""Configuration: what a user configures. It is read once and passed down as frozen objects.

    settings          Settings: the home folder, the paths in it, the limits of the daemon
    trust             asks before a connections.yaml of the current folder is used; owners and modes of specs
    permissions       who else can read or change a configuration file
    secrets           Secret; references such as ${NAME}, ${keyring:SERVICE/USER} and ${file:PATH}
    keyring           the system keyring, if the package is installed and works
    yaml              YAML as nodes with line and column; reports tags, duplicate keys and excessive size
    connections       reads connections.yaml: each connection with its options; resolves their values
    connection_tables  the key `tables` of a connection: how tables of databases and stores are read
    connections_edit  adds and removes a connection in connections.yaml; keeps all other text as it is
    notifications     reads notify.yaml: where failures of loads and scripts are reported
    preferences       the key bindings of the prompt (emacs or vi), saved in the home folder

Start with settings.Settings and connections.load_connections.
May import: engine, fs and the top-level modules.
"""
