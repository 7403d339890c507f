"""Generates logs as products write them: the same seed gives the same bytes. Addresses and names are made up."""
import csv
import io
import json
import random
from datetime import datetime, timedelta, timezone

START = datetime(2026, 1, 5, tzinfo=timezone.utc)


class Values:
    """Random values of the fields that all logs share."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def client(self):
        return f"10.{self.random.randrange(4)}.{self.random.randrange(256)}.{self.random.randrange(1, 255)}"

    def server(self):
        return f"{self.random.choice(('192.0.2', '198.51.100', '203.0.113'))}.{self.random.randrange(1, 255)}"

    def port(self):
        return self.random.randrange(1024, 65536)

    def service(self):
        return self.random.choice((443, 443, 443, 80, 53, 25, 8443, 445))

    def user(self):
        return f"user{self.random.randrange(5000)}"

    def host(self):
        return f"ws-{self.random.randrange(9000)}"

    def size(self):
        return int(self.random.paretovariate(0.7) * 200) % 50_000_000

    def hexadecimal(self, digits):
        return f"{self.random.getrandbits(4 * digits):0{digits}x}"


def pan_os(v, at):
    sent, received = v.size(), v.size()
    day = at.strftime("%Y/%m/%d %H:%M:%S")
    action = v.random.choice(("allow", "allow", "allow", "deny"))
    client, server = v.client(), v.server()
    return (
        f"<14>{at:%b} {at.day:2} {at:%H:%M:%S} fw-{v.random.randrange(12)} 1,{day},0123456789012,TRAFFIC,end,2561,{day},{client},{server},"
        f"198.51.100.1,{server},rule-{v.random.randrange(40)},corp\\{v.user()},,ssl,vsys1,trust,untrust,ethernet1/1,ethernet1/2,siem,{day},"
        f"{v.random.randrange(1 << 20)},1,{v.port()},{v.service()},{v.port()},443,0x400053,tcp,{action},{sent + received},{sent},{received},"
        f"{v.random.randrange(2, 900)},{day},{v.random.randrange(900)},business-and-economy,,{v.random.getrandbits(40)},0x0,"
        f"10.0.0.0-10.255.255.255,Germany,,{v.random.randrange(1, 400)},{v.random.randrange(1, 400)},tcp-fin,0,0,0,0,vsys1,fw-edge,from-policy,,,0,,0,,N/A,"
        f"0,0,0,0,{v.hexadecimal(8)}-{v.hexadecimal(4)}-{v.hexadecimal(4)}-{v.hexadecimal(4)}-{v.hexadecimal(12)},0,0,,,,,,,\n"
    )


def fortigate(v, at):
    action = v.random.choice(("close", "close", "timeout", "deny", "server-rst"))
    return (
        f'<189>date={at:%Y-%m-%d} time={at:%H:%M:%S} devname="FG-{v.random.randrange(12)}" devid="FGT60E0000000001" '
        f'eventtime={int(at.timestamp()) * 1_000_000_000} tz="+0000" logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" '
        f'srcip={v.client()} srcport={v.port()} srcintf="internal" srcintfrole="lan" dstip={v.server()} dstport={v.service()} dstintf="wan1" '
        f'dstintfrole="wan" srccountry="Reserved" dstcountry="Germany" sessionid={v.random.getrandbits(31)} proto=6 action="{action}" '
        f'policyid={v.random.randrange(40)} policytype="policy" service="HTTPS" trandisp="snat" transip=198.51.100.1 transport={v.port()} '
        f'user="{v.user()}" duration={v.random.randrange(900)} sentbyte={v.size()} rcvdbyte={v.size()} sentpkt={v.random.randrange(400)} '
        f'rcvdpkt={v.random.randrange(400)} appcat="unscanned" srchwvendor="Example" devtype="Windows PC" mastersrcmac="00:00:5e:00:53:01" srcmac="00:00:5e:00:53:01"\n'
    )


def asa(v, at):
    head = f"<166>{at:%b %d %Y %H:%M:%S} asa-{v.random.randrange(12)} : "
    connection, client, server = v.random.getrandbits(31), v.client(), v.server()
    kind = v.random.randrange(10)
    if kind < 4:
        return (f"{head}%ASA-6-302013: Built outbound TCP connection {connection} for outside:{server}/{v.service()} ({server}/443) "
                f"to inside:{client}/{v.port()} (198.51.100.1/{v.port()})\n")
    if kind < 9:
        return (f"{head}%ASA-6-302014: Teardown TCP connection {connection} for outside:{server}/{v.service()} to inside:{client}/{v.port()} "
                f"duration 0:{v.random.randrange(60):02}:{v.random.randrange(60):02} bytes {v.size()} TCP FINs\n")
    return f'{head}%ASA-4-106023: Deny tcp src outside:{server}/{v.port()} dst inside:{client}/445 by access-group "outside_in" [0x0, 0x0]\n'


def cef(v, at):
    return (
        f"<14>{at:%b} {at.day:2} {at:%H:%M:%S} fw-1 CEF:0|Palo Alto Networks|PAN-OS|10.1.3|end|TRAFFIC|3|rt={at:%b %d %Y %H:%M:%S} GMT "
        f"deviceExternalId=0123456789012 src={v.client()} dst={v.server()} sourceTranslatedAddress=198.51.100.1 suser=corp\\\\{v.user()} app=ssl "
        f"cs1Label=Rule cs1=rule-{v.random.randrange(40)} cs3Label=Virtual System cs3=vsys1 deviceInboundInterface=ethernet1/1 deviceOutboundInterface=ethernet1/2 "
        f"spt={v.port()} dpt={v.service()} proto=tcp act=allow out={v.size()} in={v.size()} cn1Label=SessionID cn1={v.random.getrandbits(20)} "
        f"reason=tcp-fin dvchost=fw-edge externalId={v.random.getrandbits(40)}\n"
    )


ZEEK_FIELDS = ("ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state local_orig local_resp missed_bytes "
               "history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents").split()
ZEEK_HEAD = ("#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#open\t2026-01-05-00-00-00\n#fields\t"
             + "\t".join(ZEEK_FIELDS) + "\n#types\t" + "\t".join(["time", "string", "addr", "port", "addr", "port", "enum", "string", "interval", "count", "count",
             "string", "bool", "bool", "count", "string", "count", "count", "count", "count", "set[string]"]) + "\n")


def zeek(v, at):
    sent, received = v.size(), v.size()
    return "\t".join(map(str, (
        f"{at.timestamp():.6f}", f"C{v.hexadecimal(16)}", v.client(), v.port(), v.server(), v.service(), "tcp", "ssl", f"{v.random.random() * 90:.6f}", sent,
        received, v.random.choice(("SF", "SF", "S0", "RSTO")), "T", "F", 0, "ShADadFf", v.random.randrange(400), sent + 900, v.random.randrange(400),
        received + 900, "-"))) + "\n"


def suricata(v, at):
    event = {"timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%f+0000"), "flow_id": v.random.getrandbits(50), "in_iface": "eth0", "src_ip": v.client(),
             "src_port": v.port(), "dest_ip": v.server(), "dest_port": v.service(), "proto": "TCP"}
    kind = v.random.randrange(10)
    if kind < 5:
        event |= {"event_type": "flow", "app_proto": "tls", "flow": {
            "pkts_toserver": v.random.randrange(400), "pkts_toclient": v.random.randrange(400), "bytes_toserver": v.size(), "bytes_toclient": v.size(),
            "start": event["timestamp"], "end": event["timestamp"], "age": v.random.randrange(90), "state": "closed", "reason": "timeout", "alerted": False}}
    elif kind < 7:
        event |= {"event_type": "dns", "dns": {"type": "query", "id": v.random.randrange(65536), "rrname": f"{v.hexadecimal(8)}.example.com", "rrtype": "A", "tx_id": 0}}
    elif kind < 9:
        event |= {"event_type": "tls", "tls": {"subject": "CN=www.example.com", "issuerdn": "C=DE, O=Example CA", "serial": "00:AA", "fingerprint": v.hexadecimal(40),
                                               "sni": f"{v.hexadecimal(4)}.example.com", "version": "TLS 1.2", "notbefore": "2025-01-01T00:00:00", "notafter": "2027-01-01T00:00:00"}}
    else:
        event |= {"event_type": "alert", "alert": {"action": "allowed", "gid": 1, "signature_id": 2000000 + v.random.randrange(500), "rev": 3,
                                                   "signature": "EXAMPLE suspicious request", "category": "Misc activity", "severity": 3}, "app_proto": "http"}
    return json.dumps(event, separators=(",", ":")) + "\n"


def cloudtrail(v, at):
    user = v.user()
    return json.dumps({
        "eventVersion": "1.09", "userIdentity": {"type": "AssumedRole", "principalId": f"AROAEXAMPLE:{user}", "arn": f"arn:aws:sts::123456789012:assumed-role/dev/{user}",
            "accountId": "123456789012", "accessKeyId": "ASIAEXAMPLE", "sessionContext": {"sessionIssuer": {"type": "Role", "principalId": "AROAEXAMPLE",
            "arn": "arn:aws:iam::123456789012:role/dev", "accountId": "123456789012", "userName": "dev"}, "attributes": {"creationDate": "2026-01-05T00:00:00Z", "mfaAuthenticated": "true"}}},
        "eventTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "eventSource": v.random.choice(("s3.amazonaws.com", "ec2.amazonaws.com", "iam.amazonaws.com")),
        "eventName": v.random.choice(("GetObject", "DescribeInstances", "ListUsers", "PutObject")), "awsRegion": "eu-central-1", "sourceIPAddress": v.server(),
        "userAgent": "aws-cli/2.15.0", "requestParameters": {"bucketName": f"bucket-{v.random.randrange(40)}", "key": f"data/{v.hexadecimal(12)}.parquet"},
        "responseElements": None, "additionalEventData": {"bytesTransferredIn": 0, "bytesTransferredOut": v.size()}, "requestID": v.hexadecimal(16),
        "eventID": f"{v.hexadecimal(8)}-{v.hexadecimal(4)}-4{v.hexadecimal(3)}-8{v.hexadecimal(3)}-{v.hexadecimal(12)}", "readOnly": True, "eventType": "AwsApiCall",
        "managementEvent": False, "recipientAccountId": "123456789012", "eventCategory": "Data"}, separators=(",", ":"))


def windows(v, at):
    """The number of an event, its fields, and the time."""
    if v.random.randrange(2):
        return 4688, {"SubjectUserSid": "S-1-5-21-1-2-3-1104", "SubjectUserName": v.user(), "SubjectDomainName": "CORP", "SubjectLogonId": "0x3e7",
                      "NewProcessId": f"0x{v.hexadecimal(4)}", "NewProcessName": "C:\\Windows\\System32\\cmd.exe", "TokenElevationType": "%%1936",
                      "ProcessId": f"0x{v.hexadecimal(4)}", "CommandLine": f"cmd.exe /c echo {v.hexadecimal(8)}", "TargetUserSid": "S-1-0-0", "TargetUserName": "-",
                      "TargetDomainName": "-", "TargetLogonId": "0x0", "ParentProcessName": "C:\\Windows\\explorer.exe", "MandatoryLabel": "S-1-16-8192"}
    return 4624, {"SubjectUserSid": "S-1-5-18", "SubjectUserName": "-", "SubjectDomainName": "-", "SubjectLogonId": "0x0", "TargetUserSid": "S-1-5-21-1-2-3-1104",
                  "TargetUserName": v.user(), "TargetDomainName": "CORP", "TargetLogonId": f"0x{v.hexadecimal(6)}", "LogonType": "3", "LogonProcessName": "Kerberos",
                  "AuthenticationPackageName": "Kerberos", "WorkstationName": "-", "LogonGuid": "{00000000-0000-0000-0000-000000000000}", "ProcessId": "0x0",
                  "ProcessName": "-", "IpAddress": v.client(), "IpPort": str(v.port())}


def winlogbeat(v, at):
    number, data = windows(v, at)
    host = f"{v.host()}.corp.example"
    return json.dumps({
        "@timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z", "event": {"code": str(number), "kind": "event", "provider": "Microsoft-Windows-Security-Auditing",
        "outcome": "success", "created": at.strftime("%Y-%m-%dT%H:%M:%SZ")}, "host": {"name": host}, "log": {"level": "information"},
        "agent": {"type": "winlogbeat", "version": "8.15.0", "name": host}, "ecs": {"version": "8.0.0"}, "winlog": {"channel": "Security", "event_id": str(number),
        "provider_name": "Microsoft-Windows-Security-Auditing", "computer_name": host, "record_id": v.random.getrandbits(30), "opcode": "Info", "task": "Logon",
        "process": {"pid": 4, "thread": {"id": v.random.randrange(9000)}}, "keywords": ["Audit Success"], "event_data": data}}, separators=(",", ":")) + "\n"


def event_xml(v, at):
    number, data = windows(v, at)
    fields = "".join(f"<Data Name='{name}'>{value.replace('<', '&lt;')}</Data>" for name, value in data.items())
    return (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Security-Auditing' "
        f"Guid='{{54849625-5478-4994-A5BA-3E3B0328C30D}}'/><EventID>{number}</EventID><Version>2</Version><Level>0</Level><Task>13312</Task><Opcode>0</Opcode>"
        f"<Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime='{at:%Y-%m-%dT%H:%M:%S.%f}Z'/><EventRecordID>{v.random.getrandbits(30)}</EventRecordID>"
        f"<Correlation/><Execution ProcessID='4' ThreadID='{v.random.randrange(9000)}'/><Channel>Security</Channel><Computer>{v.host()}.corp.example</Computer>"
        f"<Security/></System><EventData>{fields}</EventData></Event>\n"
    )


def office(v, at):
    time, user, name = at.strftime("%Y-%m-%dT%H:%M:%S"), f"{v.user()}@corp.example", f"{v.hexadecimal(8)}.docx"
    identity = f"{v.hexadecimal(8)}-{v.hexadecimal(4)}-4{v.hexadecimal(3)}-8{v.hexadecimal(3)}-{v.hexadecimal(12)}"
    audit = json.dumps({
        "CreationTime": time, "Id": identity, "Operation": v.random.choice(("FileDownloaded", "FileAccessed", "FileModified")), "OrganizationId": "a1b2c3d4-0000-4000-8000-000000000000",
        "RecordType": 6, "UserKey": v.hexadecimal(16), "UserType": 0, "Version": 1, "Workload": "OneDrive", "ClientIP": v.server(), "UserId": user,
        "CorrelationId": v.hexadecimal(32), "EventSource": "SharePoint", "ItemType": "File", "ListId": v.hexadecimal(32), "Site": v.hexadecimal(32), "UserAgent": "Mozilla/5.0",
        "ObjectId": f"https://corp-my.sharepoint.com/personal/x/Documents/{name}", "SourceFileName": name, "SourceFileExtension": "docx", "SiteUrl": "https://corp-my.sharepoint.com/personal/x/",
        "SourceRelativeUrl": "Documents"}, separators=(",", ":"))
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([identity, f"{time}.0000000Z", "6", "FileDownloaded", user, audit, "", ""])
    return line.getvalue()


def vpc_flow(v, at):
    start = int(at.timestamp())
    return (f"2 123456789012 eni-{v.hexadecimal(17)} {v.client()} {v.server()} {v.port()} {v.service()} 6 {v.random.randrange(1, 400)} {v.size()} "
            f"{start} {start + 60} {v.random.choice(('ACCEPT', 'ACCEPT', 'REJECT'))} OK\n")


def lines(make, count, seed=7):
    """Lines of one source over a day."""
    values = Values(seed)
    step = timedelta(days=1) / max(count, 1)
    for number in range(count):
        yield make(values, START + number * step)


def write(path, make, size, head=""):
    """Writes a file of about `size` bytes, and returns its lines. The step of the times depends on the length of the first lines."""
    sample = list(lines(make, 200))
    count = max(1, size * len(sample) // sum(len(line) for line in sample))
    with open(path, "w", newline="") as file:
        file.write(head)
        file.writelines(lines(make, count))
    return count


def write_cloudtrail(folder, size):
    """Writes files as CloudTrail delivers them: each is one object with some thousand records."""
    folder.mkdir()
    sample = list(lines(cloudtrail, 200))
    count = max(1, size * len(sample) // sum(len(line) for line in sample))
    records = []
    for number, record in enumerate(lines(cloudtrail, count), 1):
        records.append(record)
        if len(records) == 2_000 or number == count:
            (folder / f"123456789012_CloudTrail_eu-central-1_{number:09}.json").write_text('{"Records":[' + ",".join(records) + "]}")
            records = []
    return count
