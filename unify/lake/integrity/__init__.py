"""Lost catalogs and damaged data files: what is wrong, and what can be done about it.

    identity   which catalog the data files belong to: not another lake's, not an older copy
    checksums  a checksum of each data file, recorded when it is written
    damage     which table a damaged data file belongs to, and how to get its rows back

Start with identity.LakeIdentity. May import: names and ledger of the lake, and what the lake may import.
"""
