"""Two conversations that python-omemo (oldmemo 2.1.0, omemo 2.1.0) had with our engine, to be had again elsewhere.

As in `twomemo_conversations`, whose keys and drawn values are used again. Each message is (data, IV, payload). In the
second conversation the sign bit of python-omemo's identity key is 1.
"""

PEER_STARTS = {
    "device": 2058718235,
    "fingerprint": bytes.fromhex("099fc91737549621c28246c7adcce43404b6235bbfc0c6003c4719d1dbdc5408"),
    "kex": (
        bytes.fromhex(
            "330801122105dca3907a1d3a9b498f3d1d9f89764d5f8be703cb9b0162be572faf9e7deac4731a2105099fc91737549621c28246"
            "c7adcce43404b6235bbfc0c6003c4719d1dbdc54082262330a21053c8828b426a631ed8d3dcabf7ee686e5bfe3897e3c4212fdf9"
            "e69ed688fdce1110001800223090d8fc5719f9e3b72adabb4f905ac06e05a2f1949500da541ec54b622bcb3d8ed0c5a014025b69"
            "c9c6ef5d5b91157fe10a2a0a627ba1340c3001"
        ),
        bytes.fromhex("3b3a92a320e30f4ce15df9e8"),
        bytes.fromhex("895b50"),
    ),
    "ours_0": (
        bytes.fromhex(
            "330a2105a48c3d0486c8694475640122e3147cb937649bf66ecdeb146fb5fc6eb0219a5b100018002230cf1b1157f81eb77e18b4"
            "5e0769900ab8c5aafd7caebdfc21e7f722b407124a4e7deecb02652365f5432f4782eef3d6eb11b659c26b9f3dd6"
        ),
        bytes.fromhex("3b8125086d2e76ef3c71435f"),
        bytes.fromhex("e1f6ac5f"),
    ),
    "ours_1": (
        bytes.fromhex(
            "330a2105a48c3d0486c8694475640122e3147cb937649bf66ecdeb146fb5fc6eb0219a5b10011800223030c7ae8e37989a604026"
            "cd2a49df671bf79b46d36f1bbec9a8ca28e89c515ef658cd0776bb4aa0e7fe408dc10c8b186a08dbb39c603ad019"
        ),
        bytes.fromhex("a693e1e9932a354acfe6cb4c"),
        bytes.fromhex("d64f72"),
    ),
    "theirs_0": (
        bytes.fromhex(
            "330a21058d055393d298811435e3ef0d9c8e4a48ee1f6ef1cd97e22853b744119808ca55100018012230a6cc49d32a93df923b07"
            "8df05ba44b4249bff93b0ac0b4b9a187d3a6b8a01d065ccd51680ab95bc11370eb209dbe2b1ccb1521cdcb012fff"
        ),
        bytes.fromhex("c71aa0884203ddf2c87b2ce2"),
        bytes.fromhex("6dc0ac"),
    ),
    "theirs_1": (
        bytes.fromhex(
            "330a21058d055393d298811435e3ef0d9c8e4a48ee1f6ef1cd97e22853b744119808ca551001180122303e09da1899918452ab87"
            "88dbf22d3cc6455f7656a6ce66fedcb047cb047b95309183485e5a8c6e09d0a1b917401fcb13f1a99f9523384fd8"
        ),
        bytes.fromhex("dc525add1d93cfa09b384b1a"),
        bytes.fromhex("9633e27e"),
    ),
    "theirs_2": (
        bytes.fromhex(
            "330a21058d055393d298811435e3ef0d9c8e4a48ee1f6ef1cd97e22853b744119808ca55100218012230e166f92fcd4126ccbfb3"
            "ce172ccb4fdf801bb79ab26610de919841f2f35501860656551c2d8cb142fb3574cde3084fff20a4e69ea91db8f4"
        ),
        bytes.fromhex("b20a5dc58482f7ee49dc1e57"),
        bytes.fromhex("3e7a91f683"),
    ),
    "ours_2": (
        bytes.fromhex(
            "330a210514c3bee77a0108bf0989b60b01936c8dda167641526471c6eb06ea92636e274a100018022230a7d21643fb70f59517d4"
            "6d97d08dd26d3f4ff9e07329d64daf5ed8940725e2602fdd08b4c4e72ad26819b1ceccaf052aef478238464ff7d0"
        ),
        bytes.fromhex("66d383b38aa354c06043643f"),
        bytes.fromhex("78da3a0f"),
    ),
}

WE_START = {
    "device": 284978420,
    "fingerprint": bytes.fromhex("26adb4c77003e0ca3692a02ccdfaa76902b805b8f99e7f84bc807226633b464d"),
    "their_spk": bytes.fromhex("151dd6445fd6f3d20ba0d1f80bb0bf0499e2157601f618f543b94de43e7cc63e"),
    "their_spks": bytes.fromhex(
        "aeb2dbda4283908d32ba5e249461006f6752ea910a6306b1ad5e05dbc0b9c3450f9597d2dc118817185eee6283b0993b39fcea11"
        "7afb9a35e6b2c0d260de328a"
    ),
    "their_pk": bytes.fromhex("1252ce321a57f4adf643c0f18a88a37c16762b9eb8be4e4460f274821899552c"),
    "ours_0": (
        bytes.fromhex(
            "330801122105a48c3d0486c8694475640122e3147cb937649bf66ecdeb146fb5fc6eb0219a5b1a210555cab509d374dbc27be126"
            "7c74dc629fbb0e629d3862208834cdf9217089a1562262330a2105a48c3d0486c8694475640122e3147cb937649bf66ecdeb146f"
            "b5fc6eb0219a5b1000180022307769e4f28d4656ab1282c56887b0461ba858496b1544f76e72ff142f806c6b5486ba9e8e0a1773"
            "93f15de30487c9b0a59236f45df1515cdd3001"
        ),
        bytes.fromhex("3b8125086d2e76ef3c71435f"),
        bytes.fromhex("e1f6ac5f"),
    ),
    "ours_1": (
        bytes.fromhex(
            "330801122105a48c3d0486c8694475640122e3147cb937649bf66ecdeb146fb5fc6eb0219a5b1a210555cab509d374dbc27be126"
            "7c74dc629fbb0e629d3862208834cdf9217089a1562262330a2105a48c3d0486c8694475640122e3147cb937649bf66ecdeb146f"
            "b5fc6eb0219a5b100118002230769157833571c2432a25d93bf28d8dad1c6cbe95abeea067745f9669ba2711feee1513084a9566"
            "5c27da6f98d65fc55c766cfad811909dd43001"
        ),
        bytes.fromhex("a693e1e9932a354acfe6cb4c"),
        bytes.fromhex("d64f72"),
    ),
    "theirs_0": (
        bytes.fromhex(
            "330a210552a06d054de37fb5eae31b1a5f0b701ede9f6bd014316f8896838be004f3d75c10021800223035e704fbf5172dce240d"
            "5d5babb9e530e834397af31f414805e7553c6f52f87f8020dd6b6ed64cfd6d0a87feebe7b20012d08b8b04dab7eb"
        ),
        bytes.fromhex("752b6e9346ff9630cc3eba3c"),
        bytes.fromhex("f4a6e6"),
    ),
    "theirs_1": (
        bytes.fromhex(
            "330a210552a06d054de37fb5eae31b1a5f0b701ede9f6bd014316f8896838be004f3d75c1003180022309dee33100c84af1b5725"
            "64f81463477bd533269aa38905b04ef0e58354cb4246c23179bb06ac71ba0c4c15a2c53b382efc63a5b87e60c9bd"
        ),
        bytes.fromhex("24bcee8020452147752eb76c"),
        bytes.fromhex("514d6365"),
    ),
    "theirs_2": (
        bytes.fromhex(
            "330a210552a06d054de37fb5eae31b1a5f0b701ede9f6bd014316f8896838be004f3d75c100418002230d0abff4e67e00134771c"
            "9b68909ef2617a0730e2f13c572cfd5282a8e1f18d7f8705c0688639950e9ff66b71beca825d984aad0b8cc2b079"
        ),
        bytes.fromhex("923408662e8d0ce611c5a929"),
        bytes.fromhex("8749e4482e"),
    ),
    "ours_2": (
        bytes.fromhex(
            "330a210514c3bee77a0108bf0989b60b01936c8dda167641526471c6eb06ea92636e274a10001802223091afb91892f57ae46234"
            "fd22c71090b9e1635ad0f78c755d9f4a725898197cf09c176387defdb424de13d50c3df1c00d46c8240861c357ba"
        ),
        bytes.fromhex("66d383b38aa354c06043643f"),
        bytes.fromhex("78da3a0f"),
    ),
}
