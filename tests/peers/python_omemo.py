"""python-omemo as a peer in one process, without a server: `Account` is a device of an account on it.

The public data (device lists, bundles) stands in `Directory`; messages that python-omemo sends by itself end up in
`Account.outgoing`. Everything crosses as XML, so that its own parser and serialiser take part.
An account speaks omemo:2 (twomemo), the legacy dialect (oldmemo), or both with one identity.
"""

import xml.etree.ElementTree as ET

import oldmemo
import oldmemo.etree
import omemo
import twomemo
import twomemo.etree
from omemo.storage import Just, Nothing, Storage

NS = twomemo.twomemo.NAMESPACE
LEGACY = oldmemo.oldmemo.NAMESPACE
_ETREE = {NS: twomemo.etree, LEGACY: oldmemo.etree}
_BACKEND = {NS: twomemo.Twomemo, LEGACY: oldmemo.Oldmemo}


class Directory:
    """What a server would publish: device lists {jid: {id: label}} and bundles {(jid, id): XML}; `legacy` has the same
    for the legacy dialect.
    """

    def __init__(self, legacy=True):
        self.devices = {}
        self.bundles = {}
        self.legacy = Directory(legacy=False) if legacy else None

    def of(self, namespace):
        """The part for that namespace."""
        return self.legacy if namespace == LEGACY else self


class Memory(Storage):
    """A storage in memory; values: what it holds."""

    def __init__(self, values=None):
        super().__init__(disable_cache=True)
        self.values = {} if values is None else values

    async def _load(self, key):
        return Just(self.values[key]) if key in self.values else Nothing()

    async def _store(self, key, value):
        self.values[key] = value

    async def _delete(self, key):
        self.values.pop(key, None)


class Account:
    """One python-omemo device. `await Account.create(directory, jid)`; namespaces: its dialects, the best first.

    storage: of a device that starts anew.
    """

    @classmethod
    async def create(cls, directory, jid, namespaces=(NS,), storage=None):
        self = cls()
        self.jid = jid
        self.namespaces = namespaces
        self.outgoing = []
        account = self

        class Manager(omemo.SessionManager):
            @staticmethod
            async def _upload_bundle(bundle):
                directory.of(bundle.namespace).bundles[bundle.bare_jid, bundle.device_id] = ET.tostring(
                    _ETREE[bundle.namespace].serialize_bundle(bundle)
                )

            @staticmethod
            async def _download_bundle(namespace, bare_jid, device_id):
                try:
                    element = ET.fromstring(directory.of(namespace).bundles[bare_jid, device_id])
                except KeyError:
                    raise omemo.BundleNotFound from None
                return _ETREE[namespace].parse_bundle(element, bare_jid, device_id)

            @staticmethod
            async def _delete_bundle(namespace, device_id):
                directory.of(namespace).bundles.pop((jid, device_id), None)

            @staticmethod
            async def _upload_device_list(namespace, device_list):
                directory.of(namespace).devices[jid] = dict(device_list)

            @staticmethod
            async def _download_device_list(namespace, bare_jid):
                return dict(directory.of(namespace).devices.get(bare_jid, {}))

            async def _evaluate_custom_trust_level(self, device):
                return omemo.TrustLevel.TRUSTED

            async def _make_trust_decision(self, undecided, identifier):
                raise AssertionError("every device is trusted")

            @staticmethod
            async def _send_message(message, bare_jid):
                account.outgoing.append(ET.tostring(_ETREE[message.namespace].serialize_message(message)))

        self.storage = storage or Memory()
        self.manager = await Manager.create(
            [_BACKEND[namespace](self.storage) for namespace in namespaces],
            self.storage,
            jid,
            None,
            "trusted",
            async_framework=omemo.AsyncFramework.ASYNCIO,
        )
        await self.manager.after_history_sync()
        own, _ = await self.manager.get_own_device_information()
        self.device = own.device_id
        self.identity_key = own.identity_key
        return self

    async def learn(self, jid):
        """Fetches the newest device lists of an account."""
        for namespace in self.namespaces:
            await self.manager.refresh_device_list(namespace, jid)

    async def encrypt(self, jid, plaintext, namespace=None):
        """The XML of a message for all devices of `jid` (that speak the dialect: the best one unless given)."""
        namespace = namespace or self.namespaces[0]
        messages, errors = await self.manager.encrypt(frozenset([jid]), {namespace: plaintext}, [namespace])
        assert not errors, errors
        return ET.tostring(_ETREE[namespace].serialize_message(next(iter(messages))))

    async def decrypt(self, jid, xml):
        """The plaintext of a message from `jid`; None for an empty one. Raises what python-omemo raises."""
        element = ET.fromstring(xml)
        if element.tag.startswith("{" + LEGACY):
            message = await oldmemo.etree.parse_message(element, jid, self.jid, self.manager)
        else:
            message = twomemo.etree.parse_message(element, jid)
        return (await self.manager.decrypt(message))[0]

    async def replace_session(self, jid):
        """Drops the sessions with the devices of `jid` and builds new ones, as a user would ask for."""
        for device in await self.manager.get_device_information(jid):
            await self.manager.replace_sessions(device)

    async def stop(self):
        await self.manager.shutdown()
