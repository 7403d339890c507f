//! Logs of Azure, AWS and Google Cloud as their services write them, and the resulting rows.

use std::collections::BTreeMap;

use crate::support::Place;

type Row = BTreeMap<String, String>;

/// The rows of a table that importing a text makes, in order of their times, and the report of the file.
fn imported(text: &str, arguments: &str, table: &str) -> (Vec<Row>, serde_json::Value) {
    let place = Place::new();
    let report = place.import(&place.file("cloud.log", text), arguments);
    let rows = place.rows_by(table, "TimeGenerated");
    (rows, report["files"][0].clone())
}

/// Imports a text whose source is detected, without rejects, and compares columns of its first row.
fn check(text: &str, arguments: &str, (source, table): (&str, &str), wanted: &[(&str, &str)]) -> Vec<Row> {
    let (rows, file) = imported(text, arguments, table);
    assert_eq!((&file["source"], &file["rejects"]), (&source.into(), &0.into()), "{file}");
    for (column, value) in wanted {
        let found = rows.first().and_then(|row| row.get(*column)).map(String::as_str);
        assert_eq!(found, Some(*value), "{column} of {:?}", rows.first());
    }
    rows
}

const NSG: &str = r#"{"records":[{"time":"2026-01-05T08:00:35.38Z","systemId":"s","macAddress":"000D3AF87856","category":"NetworkSecurityGroupFlowEvent","resourceId":"/SUBSCRIPTIONS/1/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/NSG","operationName":"NetworkSecurityGroupFlowEvents","properties":{"Version":2,"flows":[{"rule":"DefaultRule_AllowInternetOutBound","flows":[{"mac":"000D3AF87856","flowTuples":["1767600001,10.0.0.4,203.0.113.9,44942,443,T,O,A,B,,,,","1767600061,10.0.0.4,203.0.113.9,44942,443,T,O,A,E,25,1566,30,45012"]}]},{"rule":"UserRule_rdp","flows":[{"mac":"000D3AF87856","flowTuples":["1767600002,198.51.100.7,10.0.0.4,51000,3389,T,I,A,B,,,,","1767600003,198.51.100.8,10.0.0.4,51001,8443,U,I,D,B,,,,"]}]}]}}]}"#;

#[test]
fn flows_of_network_security_groups_are_rows() {
    let table = "AzureNetworkAnalytics_CL";
    let outbound = [
        ("TimeGenerated", "2026-01-05T08:00:01Z"),
        ("VMIPAddress", "10.0.0.4"),
        ("AllExtIPs", "203.0.113.9"),
        ("DestPort", "443"),
        ("L4Protocol", "T"),
        ("L7Protocol", "https"),
        ("FlowDirection", "O"),
        ("FlowStatus", "A"),
        ("AllowedOutFlows", "1"),
        ("AllowedInFlows", "0"),
        ("NSGRule", "DefaultRule_AllowInternetOutBound"),
    ];
    let rows = check(NSG, "", ("azure-nsg-flow", table), &outbound);
    let cells = |row: usize, columns: [&str; 5]| columns.map(|column| rows[row][column].as_str());
    let inbound = ["VMIPAddress", "AllExtIPs", "SrcIP", "L7Protocol", "AllowedInFlows"];
    assert_eq!(cells(1, inbound), ["10.0.0.4", "198.51.100.7", "198.51.100.7", "ms-wbt-server", "1"]);
    let denied = ["FlowStatus", "L7Protocol", "AllowedInFlows", "DeniedInFlows", "DeniedOutFlows"];
    assert_eq!(cells(2, denied), ["D", "8443", "0", "1", "0"]);
    let end = ["FlowState", "AllowedOutFlows", "OutboundBytes", "InboundBytes", "OutboundPackets"];
    assert_eq!(cells(3, end), ["E", "0", "1566", "45012", "25"]);
    assert_eq!(rows.len(), 4);
    let first_version = NSG
        .replace(",B,,,,\"", "\"")
        .replace(",E,25,1566,30,45012", "")
        .replace("\"Version\":2", "\"Version\":1");
    let rows = check(&first_version, "", ("azure-nsg-flow", table), &[("AllowedOutFlows", "1")]);
    assert_eq!((rows.len(), rows[2]["DeniedInFlows"].as_str()), (4, "1"));
}

#[test]
fn flows_of_azure_are_traffic_on_request() {
    let wanted = [("SourceIP", "10.0.0.4"), ("DestinationIP", "203.0.113.9"), ("DestinationPort", "443")];
    let rows = check(NSG, "--table CommonSecurityLog", ("azure-nsg-flow", "CommonSecurityLog"), &wanted);
    assert_eq!((rows[3]["SentBytes"].as_str(), rows[3]["ReceivedBytes"].as_str()), ("1566", "45012"));
    assert_eq!(
        (rows[2]["SimplifiedDeviceAction"].as_str(), rows[2]["Protocol"].as_str()),
        ("Blocked", "udp")
    );
}

#[test]
fn flows_of_virtual_networks_are_rows() {
    let text = r#"{"records":[{"time":"2026-01-05T08:00:52.56Z","flowLogVersion":4,"flowLogGUID":"g","macAddress":"0022487BC205","category":"FlowLogFlowEvent","flowLogResourceID":"/x","targetResourceID":"/subscriptions/1/virtualNetworks/v","operationName":"FlowLogFlowEvent","flowRecords":{"flows":[{"aclID":"acl","flowGroups":[{"rule":"out","flowTuples":["1767600003599,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0","1767600003606,10.0.0.6,192.0.2.180,23956,443,6,O,E,NX,3,767,2,1580"]},{"rule":"deny","flowTuples":["1767600003637,203.0.113.22,10.0.0.6,22730,53,17,I,D,NX,0,0,0,0"]}]},{"aclID":"none","flowGroups":[]}]}}]}"#;
    let wanted = [
        ("TimeGenerated", "2026-01-05T08:00:03.599Z"),
        ("VMIPAddress", "10.0.0.6"),
        ("L4Protocol", "T"),
        ("FlowStatus", "A"),
        ("AllowedOutFlows", "1"),
        ("MACAddress", "0022487BC205"),
    ];
    let rows = check(text, "", ("azure-vnet-flow", "AzureNetworkAnalytics_CL"), &wanted);
    assert_eq!((rows[1]["AllowedOutFlows"].as_str(), rows[1]["OutboundBytes"].as_str()), ("0", "767"));
    let denied = ["FlowStatus", "L4Protocol", "L7Protocol", "DeniedInFlows", "AllExtIPs"];
    assert_eq!(denied.map(|column| rows[2][column].as_str()), ["D", "U", "dns", "1", "203.0.113.22"]);
    let (_, file) = imported(text, "", "AzureNetworkAnalytics_CL");
    assert_eq!(file["set_aside"]["no element in flowGroups"], 1);
}

#[test]
fn rows_of_virtual_networks_traffic_analytics_have_both_ends() {
    let text = "TenantId,\"TimeGenerated [UTC]\",SubType,FaSchemaVersion,FlowType,SrcIp,DestIp,SrcPublicIps,DestPublicIps,DestPort,L4Protocol,L7Protocol,FlowDirection,AllowedOutFlows,AllowedInFlows,SrcVm,AclRule,Type\n\
                t,\"1/13/2026, 8:00:00.000 AM\",FlowLog,3,ExternalPublic,10.0.0.4,,,\"203.0.113.9|1|0|0|0|10|20\",443,TCP,https,Outbound,3,0,rg/vm-1,out,NTANetAnalytics\n";
    let wanted = [
        ("VMIPAddress", "10.0.0.4"),
        ("DestIP", "203.0.113.9"),
        ("AllExtIPs", "203.0.113.9"),
        ("VMName", "rg/vm-1"),
        ("FlowDirection", "O"),
        ("L4Protocol", "T"),
        ("AllowedOutFlows", "3"),
    ];
    check(text, "", ("traffic-analytics", "AzureNetworkAnalytics_CL"), &wanted);
}

#[test]
fn sign_ins_go_to_the_tables_of_their_kind() {
    let record = |category: &str| {
        format!(
            r#"{{"time":"2026-01-05T08:00:00Z","resourceId":"/tenants/t/providers/Microsoft.aadiam","operationName":"Sign-in activity","category":"{category}","tenantId":"t","resultType":"50126","resultDescription":"Invalid","durationMs":0,"callerIpAddress":"198.51.100.4","identity":"Ada","Level":4,"location":"DE","properties":{{"id":"i","createdDateTime":"2026-01-05T07:59:59Z","userPrincipalName":"ada@corp.example","servicePrincipalId":"sp","appDisplayName":"Portal","ipAddress":"198.51.100.5","location":{{"city":"Berlin"}},"deviceDetail":{{"deviceId":"d"}},"appliedConditionalAccessPolicies":[],"resourceId":"r","newField":true}}}}"#
        ) + "\n"
    };
    let wanted = [
        ("TimeGenerated", "2026-01-05T08:00:00Z"),
        ("CreatedDateTime", "2026-01-05T07:59:59Z"),
        ("IPAddress", "198.51.100.5"),
        ("Identity", "Ada"),
        ("Location", "DE"),
        ("LocationDetails", r#"{"city":"Berlin"}"#),
        ("ResultType", "50126"),
        ("ResourceIdentity", "r"),
        ("ResourceId", "/tenants/t/providers/Microsoft.aadiam"),
        ("AADTenantId", "t"),
        ("DurationMs", "0"),
        ("Level", "4"),
    ];
    for (category, table) in [
        ("SignInLogs", "SigninLogs"),
        ("NonInteractiveUserSignInLogs", "AADNonInteractiveUserSignInLogs"),
        ("ServicePrincipalSignInLogs", "AADServicePrincipalSignInLogs"),
        ("ManagedIdentitySignInLogs", "AADManagedIdentitySignInLogs"),
    ] {
        let rows = check(&record(category), "", ("monitor-export", table), &wanted);
        assert!(rows[0]["AdditionalFields"].contains("\"newField\":\"true\""), "{rows:?}");
    }
    let rows = check(&record("SignInLogs"), "", ("monitor-export", "SigninLogs"), &[]);
    assert_eq!(
        (rows[0]["UserPrincipalName"].as_str(), rows[0]["AppDisplayName"].as_str()),
        ("ada@corp.example", "Portal")
    );
}

#[test]
fn audit_records_of_a_directory_have_their_columns() {
    let text = r#"{"time":"2026-01-05T08:00:00Z","resourceId":"/tenants/t/providers/Microsoft.aadiam","operationName":"Add user","category":"AuditLogs","tenantId":"t","identity":"Ada","properties":{"activityDateTime":"2026-01-05T07:59:59Z","activityDisplayName":"Add user","category":"UserManagement","operationType":"Add","result":"success","resultReason":"ok","initiatedBy":{"user":{"userPrincipalName":"ada@corp.example"}},"targetResources":[{"id":"x"}]}}"#;
    let wanted = [
        ("OperationName", "Add user"),
        ("Category", "UserManagement"),
        ("AADOperationType", "Add"),
        ("Result", "success"),
        ("ResultDescription", "ok"),
        ("InitiatedBy", r#"{"user":{"userPrincipalName":"ada@corp.example"}}"#),
        ("TargetResources", r#"[{"id":"x"}]"#),
        ("Identity", "Ada"),
    ];
    check(text, "", ("monitor-export", "AuditLogs"), &wanted);
    let download = r#"[{"id":"x","category":"UserManagement","correlationId":"c","result":"success","resultReason":"ok","activityDisplayName":"Add user","activityDateTime":"2026-01-05T08:00:00Z","loggedByService":"Core Directory","operationType":"Add","initiatedBy":{"user":{"userPrincipalName":"ada@corp.example"}},"targetResources":[{"id":"x"}]}]"#;
    check(download, "", ("entra-download", "AuditLogs"), &wanted[..7]);
}

#[test]
fn sign_ins_are_read_from_downloads() {
    let json = r#"[{"id":"i","createdDateTime":"2026-01-05T08:00:00Z","userDisplayName":"Ada","userPrincipalName":"ada@corp.example","appDisplayName":"Portal","ipAddress":"198.51.100.4","conditionalAccessStatus":"success","isInteractive":true,"status":{"errorCode":50126,"failureReason":"Invalid"},"location":{"city":"Berlin","countryOrRegion":"DE"}}]"#;
    let wanted = [
        ("TimeGenerated", "2026-01-05T08:00:00Z"),
        ("UserPrincipalName", "ada@corp.example"),
        ("IPAddress", "198.51.100.4"),
        ("AppDisplayName", "Portal"),
        ("ResultType", "50126"),
        ("Location", "DE"),
    ];
    check(json, "", ("entra-download", "SigninLogs"), &wanted);
    let csv = "Date (UTC),Request ID,User agent,Correlation ID,User ID,User,Username,Application,IP address,Location,Status,Sign-in error code\n\
               2026-01-05T08:00:00Z,i,curl/8.0,c,u,Ada,ada@corp.example,Portal,198.51.100.4,DE,Failure,50126\n";
    check(csv, "", ("entra-download", "SigninLogs"), &wanted);
}

#[test]
fn the_activity_log_has_its_columns() {
    let record = r#"{"time":"2026-01-05T08:00:00Z","resourceId":"/SUBSCRIPTIONS/1/X","operationName":"MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION","category":"Administrative","resultType":"Success","resultSignature":"Succeeded.","callerIpAddress":"198.51.100.4","correlationId":"c","identity":{"authorization":{"action":"a"},"claims":{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"ada@corp.example"}},"level":"Information","properties":{"hierarchy":"h"}}"#;
    let wanted = [
        ("OperationNameValue", "MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION"),
        ("ActivityStatusValue", "Success"),
        ("CategoryValue", "Administrative"),
        ("Caller", "ada@corp.example"),
        ("CallerIpAddress", "198.51.100.4"),
        ("Authorization_d", r#"{"action":"a"}"#),
        ("Properties_d", r#"{"hierarchy":"h"}"#),
        ("Hierarchy", "h"),
        ("Level", "Information"),
        ("ResourceProviderValue", "MICROSOFT.STORAGE"),
    ];
    check(record, "", ("monitor-export", "AzureActivity"), &wanted);
    let api = r#"[{"caller":"ada@corp.example","channels":"Operation","correlationId":"c","eventDataId":"e","category":{"value":"Administrative","localizedValue":"Administrative"},"httpRequest":{"clientIpAddress":"198.51.100.4"},"level":"Information","operationName":{"value":"MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION","localizedValue":"List keys"},"status":{"value":"Success"},"eventTimestamp":"2026-01-05T08:00:00Z","resourceId":"/x"}]"#;
    check(api, "", ("azure-activity", "AzureActivity"), &wanted[..5]);
}

#[test]
fn flows_of_vpcs_are_traffic() {
    let lines = "2 123456789012 eni-1 10.1.1.5 203.0.113.9 55113 443 6 20 5000 1767600000 1767600060 ACCEPT OK\n\
                 2 123456789012 eni-1 198.51.100.7 10.1.1.5 40000 22 6 1 40 1767600001 1767600060 REJECT OK\n\
                 2 123456789012 eni-1 - - - - - - - 1767600000 1767600060 - NODATA\n";
    let header = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n";
    let wanted = [
        ("TimeGenerated", "2026-01-05T08:00:00Z"),
        ("DeviceVendor", "AWS"),
        ("DeviceEventClassID", "TRAFFIC"),
        ("SourceIP", "10.1.1.5"),
        ("SourcePort", "55113"),
        ("DestinationIP", "203.0.113.9"),
        ("DestinationPort", "443"),
        ("Protocol", "tcp"),
        ("SentBytes", "5000"),
        ("SimplifiedDeviceAction", "Allowed"),
    ];
    let cloudwatch: String = lines.lines().map(|line| format!("2026-01-05T08:01:00.000Z {line}\n")).collect();
    let events: Vec<_> = lines
        .lines()
        .map(|line| serde_json::json!({"id": "1", "timestamp": 1_767_600_090_000_u64, "message": line}))
        .collect();
    let control = serde_json::json!({"messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "",
        "subscriptionFilters": [], "logEvents": [{"id": "", "timestamp": 1_767_600_000_000_u64, "message": "CWL CONTROL MESSAGE: Checking."}]});
    let data = serde_json::json!({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "flows", "logStream": "eni-1-all",
        "subscriptionFilters": ["all"], "logEvents": events});
    // Firehose writes messages without line ends between them.
    let subscription = format!("{control}{data}");
    for text in [lines.to_owned(), format!("{header}{lines}"), cloudwatch, subscription] {
        let rows = check(&text, "", ("aws-vpc-flow", "CommonSecurityLog"), &wanted);
        assert_eq!((rows.len(), rows[1]["SimplifiedDeviceAction"].as_str()), (2, "Blocked"), "{text}");
        let (_, file) = imported(&text, "", "CommonSecurityLog");
        assert_eq!(file["set_aside"]["NODATA"], 1, "{file}");
    }
    let custom = "action dstaddr srcaddr dstport start pkt-dst-aws-service bytes\n\
                  REJECT 203.0.113.9 10.1.1.5 443 1767600000 S3 7\n";
    let wanted = [("SrcAddr", "10.1.1.5"), ("DstPort", "443"), ("Bytes", "7"), ("PktDstAwsService", "S3")];
    check(custom, "--table AWSVPCFlow", ("aws-vpc-flow", "AWSVPCFlow"), &wanted);
    let all = "5 123456789012 eni-1 10.1.1.5 203.0.113.9 50041 443 17 52 1 1767600000 1767600297 REJECT OK vpc-1 subnet-1 i-1 1 IPv4 10.1.1.5 203.0.113.9 us-east-1 use1-az5 - - AMAZON CLOUDFRONT egress 8\n";
    let wanted = [
        ("VpcId", "vpc-1"),
        ("FlowDirection", "egress"),
        ("TrafficPath", "8"),
        ("PktDstAwsService", "CLOUDFRONT"),
    ];
    check(all, "--table AWSVPCFlow", ("aws-vpc-flow", "AWSVPCFlow"), &wanted);
}

const CALL: &str = r#"{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"P:ada","arn":"arn:aws:sts::1:assumed-role/r/ada","accountId":"1","accessKeyId":"A","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::1:role/r","userName":"r"},"attributes":{"creationDate":"2026-01-05T07:00:00Z","mfaAuthenticated":"false"}},"identityProvider":"x"},"eventTime":"2026-01-05T08:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-central-1","sourceIPAddress":"198.51.100.4","userAgent":"aws-cli","requestParameters":{"bucketName":"b"},"responseElements":null,"requestID":"R","eventID":"E","readOnly":true,"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"1","eventCategory":"Data","tlsDetails":{"tlsVersion":"TLSv1.3"}}"#;

#[test]
fn calls_of_the_aws_api_have_their_columns() {
    let wanted = [
        ("TimeGenerated", "2026-01-05T08:00:00Z"),
        ("EventName", "GetObject"),
        ("EventSource", "s3.amazonaws.com"),
        ("EventTypeName", "AwsApiCall"),
        ("SourceIpAddress", "198.51.100.4"),
        ("UserIdentityType", "AssumedRole"),
        ("UserIdentityArn", "arn:aws:sts::1:assumed-role/r/ada"),
        ("SessionIssuerUserName", "r"),
        ("SessionIssuerArn", "arn:aws:iam::1:role/r"),
        ("SessionMfaAuthenticated", "false"),
        ("SessionCreationDate", "2026-01-05T07:00:00Z"),
        ("RequestParameters", r#"{"bucketName":"b"}"#),
        ("AwsEventId", "E"),
        ("AwsRequestId_", "R"),
        ("ReadOnly", "true"),
        ("TlsVersion", "TLSv1.3"),
        ("AdditionalFields", r#"{"userIdentity.identityProvider":"x"}"#),
    ];
    for text in [format!("{{\"Records\":[{CALL},{CALL}]}}"), format!("{CALL}\n{CALL}\n")] {
        let rows = check(&text, "", ("aws-cloudtrail", "AWSCloudTrail"), &wanted);
        assert_eq!(rows.len(), 2);
        assert!(!rows[0].contains_key("UserIdentityUserName") || rows[0]["UserIdentityUserName"].is_empty());
    }
    let event = format!(
        r#"{{"version":"0","id":"i","detail-type":"AWS API Call via CloudTrail","source":"aws.s3","account":"1","time":"2026-01-05T08:00:05Z","region":"eu-central-1","resources":[],"detail":{CALL}}}"#
    );
    check(&event, "", ("aws-cloudtrail", "AWSCloudTrail"), &wanted[..16]);
}

#[test]
fn findings_of_guardduty_have_their_columns() {
    let finding = r#"{"schemaVersion":"2.0","accountId":"1","region":"eu-central-1","partition":"aws","id":"f","arn":"arn:aws:guardduty:x","type":"Recon:EC2/PortProbeUnprotectedPort","resource":{"resourceType":"Instance"},"service":{"serviceName":"guardduty"},"severity":8,"createdAt":"2026-01-05T07:00:00.000Z","updatedAt":"2026-01-05T08:00:00.000Z","title":"T","description":"D"}"#;
    let wanted = [
        ("TimeGenerated", "2026-01-05T08:00:00Z"),
        ("TimeCreated", "2026-01-05T07:00:00Z"),
        ("Id", "f"),
        ("AccountId", "1"),
        ("ActivityType", "Recon:EC2/PortProbeUnprotectedPort"),
        ("Severity", "8"),
        ("ServiceDetails", r#"{"serviceName":"guardduty"}"#),
        ("ResourceDetails", r#"{"resourceType":"Instance"}"#),
    ];
    check(finding, "", ("aws-guardduty", "AWSGuardDuty"), &wanted);
    let event = format!(
        r#"{{"version":"0","id":"e","detail-type":"GuardDuty Finding","source":"aws.guardduty","account":"1","time":"2026-01-05T08:00:05Z","region":"eu-central-1","resources":[],"detail":{finding}}}"#
    );
    check(&event, "", ("aws-guardduty", "AWSGuardDuty"), &wanted);
}

#[test]
fn google_cloud_is_read() {
    let audit = r#"{"insertId":"i","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","timestamp":"2026-01-05T08:00:00Z","severity":"NOTICE","resource":{"type":"gcs_bucket","labels":{"project_id":"p","location":"eu"}},"protoPayload":{"@type":"x","serviceName":"storage.googleapis.com","methodName":"storage.objects.get","resourceName":"projects/_/buckets/b","authenticationInfo":{"principalEmail":"ada@corp.example"},"requestMetadata":{"callerIp":"198.51.100.4"},"status":{"code":7,"message":"denied"}}}"#;
    let wanted = [
        ("TimeGenerated", "2026-01-05T08:00:00Z"),
        ("MethodName", "storage.objects.get"),
        ("ServiceName", "storage.googleapis.com"),
        ("PrincipalEmail", "ada@corp.example"),
        ("RequestMetadata", r#"{"callerIp":"198.51.100.4"}"#),
        ("GCPResourceType", "gcs_bucket"),
        ("ProjectId", "p"),
        ("Severity", "NOTICE"),
        ("StatusMessage", "denied"),
        ("InsertId", "i"),
        ("AdditionalFields", r#"{"protoPayload.@type":"x","resource.labels.location":"eu"}"#),
    ];
    check(audit, "", ("gcp-audit", "GCPAuditLogs"), &wanted);
    let flow = r#"{"insertId":"i","jsonPayload":{"bytes_sent":"1776","connection":{"dest_ip":"203.0.113.12","dest_port":33478,"protocol":6,"src_ip":"10.87.40.76","src_port":5601},"start_time":"2026-01-05T08:00:00.5Z","end_time":"2026-01-05T08:00:01Z","packets_sent":"7","reporter":"SRC","src_instance":{"vm_name":"vm-1"}},"logName":"projects/p/logs/compute.googleapis.com%2Fvpc_flows","resource":{"type":"gce_subnetwork","labels":{"project_id":"p"}},"timestamp":"2026-01-05T08:00:09Z"}"#;
    let wanted = [
        ("TimeGenerated", "2026-01-05T08:00:00.500Z"),
        ("DeviceVendor", "GCP"),
        ("SourceIP", "10.87.40.76"),
        ("SourceHostName", "vm-1"),
        ("DestinationIP", "203.0.113.12"),
        ("DestinationPort", "33478"),
        ("Protocol", "tcp"),
        ("SentBytes", "1776"),
    ];
    check(flow, "", ("gcp-vpc-flow", "CommonSecurityLog"), &wanted);
}

/// Detections read the flows of Azure without configuration.
#[test]
fn detections_read_flows_of_azure() {
    let place = Place::new();
    place.import(&place.file("PT1H.json", NSG), "");
    let output = place.investigate("ip 10.0.0.4", "--from 2026-01-05 --to 2026-01-06");
    assert!(output.status.success(), "{}", crate::support::stderr(&output));
    let flows = place.table("user_network_flows");
    let is_outbound = |row: &&serde_json::Value| {
        row["source"] == "10.0.0.4" && row["target"] == "203.0.113.9" && row["l7_protocol"] == "https"
    };
    let outbound = flows.iter().find(is_outbound).expect("the flow");
    assert_eq!((&outbound["direction"], &outbound["flows"]), (&"O".into(), &1.into()));
    let from: Vec<&str> = flows.iter().filter_map(|row| row["source"].as_str()).collect();
    assert!(from.contains(&"198.51.100.7"), "{flows:?}");
}
