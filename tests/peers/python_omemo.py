"""python-omemo as a peer in one process, without a server: `Account` is a device of an account on it.

The public data (device lists, bundles) stands in `Directory`; messages that python-omemo sends by itself end up in
`Account.outgoing`. Everything crosses as XML, so that its own parser and serialiser take part.
"""

import xml.etree.ElementTree as ET

import omemo
import twomemo
import twomemo.etree
from omemo.storage import Just, Nothing, Storage

NS = twomemo.twomemo.NAMESPACE


class Directory:
    """What a server would publish: device lists {jid: {id: label}} and bundles {(jid, id): XML}."""

    def __init__(self):
        self.devices = {}
        self.bundles = {}


class _Memory(Storage):
    def __init__(self):
        super().__init__(disable_cache=True)
        self._values = {}

    async def _load(self, key):
        return Just(self._values[key]) if key in self._values else Nothing()

    async def _store(self, key, value):
        self._values[key] = value

    async def _delete(self, key):
        self._values.pop(key, None)


class Account:
    """One python-omemo device. `await Account.create(directory, jid)`; storage: of a device that starts anew."""

    @classmethod
    async def create(cls, directory, jid, storage=None):
        self = cls()
        self.jid = jid
        self.outgoing = []
        account = self

        class Manager(omemo.SessionManager):
            @staticmethod
            async def _upload_bundle(bundle):
                directory.bundles[bundle.bare_jid, bundle.device_id] = ET.tostring(
                    twomemo.etree.serialize_bundle(bundle)
                )

            @staticmethod
            async def _download_bundle(namespace, bare_jid, device_id):
                try:
                    element = ET.fromstring(directory.bundles[bare_jid, device_id])
                except KeyError:
                    raise omemo.BundleNotFound from None
                return twomemo.etree.parse_bundle(element, bare_jid, device_id)

            @staticmethod
            async def _delete_bundle(namespace, device_id):
                directory.bundles.pop((jid, device_id), None)

            @staticmethod
            async def _upload_device_list(namespace, device_list):
                directory.devices[jid] = dict(device_list)

            @staticmethod
            async def _download_device_list(namespace, bare_jid):
                return dict(directory.devices.get(bare_jid, {}))

            async def _evaluate_custom_trust_level(self, device):
                return omemo.TrustLevel.TRUSTED

            async def _make_trust_decision(self, undecided, identifier):
                raise AssertionError("every device is trusted")

            @staticmethod
            async def _send_message(message, bare_jid):
                account.outgoing.append(ET.tostring(twomemo.etree.serialize_message(message)))

        self.storage = storage or _Memory()
        self.manager = await Manager.create(
            [twomemo.Twomemo(self.storage)],
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
        """Fetches the newest device list of an account."""
        await self.manager.refresh_device_list(NS, jid)

    async def encrypt(self, jid, plaintext):
        """The XML of a message for all devices of `jid`."""
        messages, errors = await self.manager.encrypt(frozenset([jid]), {NS: plaintext})
        assert not errors, errors
        return ET.tostring(twomemo.etree.serialize_message(next(iter(messages))))

    async def decrypt(self, jid, xml):
        """The plaintext of a message from `jid`; None for an empty one. Raises what python-omemo raises."""
        return (await self.manager.decrypt(twomemo.etree.parse_message(ET.fromstring(xml), jid)))[0]

    async def replace_session(self, jid):
        """Drops the sessions with the devices of `jid` and builds new ones, as a user would ask for."""
        for device in await self.manager.get_device_information(jid):
            await self.manager.replace_sessions(device)

    async def stop(self):
        await self.manager.shutdown()
