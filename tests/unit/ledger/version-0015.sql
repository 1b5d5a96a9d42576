BEGIN TRANSACTION;
CREATE TABLE approvals (
	id VARCHAR(32) NOT NULL, 
	list VARCHAR(32) NOT NULL, 
	plan_hash VARCHAR(64) NOT NULL, 
	asked_by TEXT NOT NULL, 
	asked_at DATETIME NOT NULL, 
	decided_by TEXT, 
	decided_at DATETIME, 
	agreed BOOLEAN, 
	reason TEXT NOT NULL, 
	CONSTRAINT pk_approvals PRIMARY KEY (id)
);
CREATE TABLE attempts (
	"key" VARCHAR(64) NOT NULL, 
	run VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	started_at DATETIME NOT NULL, 
	duration_s FLOAT, 
	status INTEGER, 
	code TEXT NOT NULL, request_id TEXT, sender BIGINT, 
	CONSTRAINT pk_attempts PRIMARY KEY ("key", run, number), 
	CONSTRAINT fk_attempts_key FOREIGN KEY("key") REFERENCES submissions ("key"), 
	CONSTRAINT fk_attempts_run FOREIGN KEY(run) REFERENCES runs (id)
)
 WITHOUT ROWID

;
INSERT INTO "attempts" VALUES('015f7e6bc5aeaf483724089e9252cc13b50951a6b69412522765cff4d780306e','20261122-153000-0001',1,'2026-11-22 15:30:01.250000',NULL,400,'http-400',NULL,NULL);
INSERT INTO "attempts" VALUES('1d92ad4b6987fa0347cc5d2fb6cf9e47c83f4f6caeb3b5ef6f629730528921c3','20261122-153000-0001',1,'2026-11-22 15:30:01.250000',NULL,NULL,'',NULL,NULL);
INSERT INTO "attempts" VALUES('2f5052c9fd15b19a18c584d01363568198613f0c34e84409ef7938709a159ec2','20261122-153000-0001',1,'2026-11-22 15:30:01.250000',NULL,NULL,'timeout',NULL,NULL);
INSERT INTO "attempts" VALUES('6ab9f1eb8f7d3388f4f9d586f66e99fd54080df2c446f0e58668b09c08a16dd0','20261122-153000-0001',1,'2026-11-22 15:30:01.250000',0.25,201,'',NULL,NULL);
INSERT INTO "attempts" VALUES('88dbf612972c594a2c2f6dde493ef1c4cd27adba8c36e6ebd00b89ff143aba61','20261122-153000-0001',1,'2026-11-22 15:30:01.250000',NULL,200,'',NULL,NULL);
INSERT INTO "attempts" VALUES('94091dd64a21ffe94214bc6d17deeb43873a5cf2f0a71b4b5caa9a5c81b6967d','20261122-153000-0001',1,'2026-11-22 15:30:01.250000',NULL,503,'http-503',NULL,NULL);
INSERT INTO "attempts" VALUES('d1a5ac9a015fac2ef7b341673635512a1511f41fe37d111b267f039eec5d4f58','20261122-153000-0001',1,'2026-11-22 15:30:01.250000',0.5,201,'','req_0123456789abcdef0123456789abcdef',NULL);
CREATE TABLE audit_events (
	number INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	name TEXT NOT NULL, 
	email TEXT NOT NULL, 
	session VARCHAR(16) NOT NULL, 
	action VARCHAR(40) NOT NULL, 
	list VARCHAR(64) NOT NULL, 
	run VARCHAR(32) NOT NULL, 
	"row" INTEGER, 
	"column" TEXT NOT NULL, 
	plan_hash VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_audit_events PRIMARY KEY (number)
);
CREATE TABLE campaigns (
	name TEXT NOT NULL, 
	CONSTRAINT pk_campaigns PRIMARY KEY (name)
);
INSERT INTO "campaigns" VALUES('camp-42');
CREATE TABLE claims (
	inbox TEXT NOT NULL, 
	path TEXT NOT NULL, 
	version TEXT NOT NULL, 
	claimed_at DATETIME NOT NULL, 
	holder TEXT NOT NULL, 
	place TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	returned_at DATETIME, 
	CONSTRAINT pk_claims PRIMARY KEY (inbox, path, version)
);
CREATE TABLE column_choices (
	headers VARCHAR(64) NOT NULL, 
	columns JSON NOT NULL, 
	chosen_by TEXT NOT NULL, 
	chosen_at DATETIME NOT NULL, 
	CONSTRAINT pk_column_choices PRIMARY KEY (headers)
);
CREATE TABLE decisions (
	"key" VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	decided_at DATETIME, 
	decided_by TEXT, 
	state VARCHAR(20) NOT NULL, 
	conversation_id TEXT, 
	CONSTRAINT pk_decisions PRIMARY KEY ("key", number), 
	CONSTRAINT fk_decisions_key FOREIGN KEY("key") REFERENCES submissions ("key")
);
INSERT INTO "decisions" VALUES('2f5052c9fd15b19a18c584d01363568198613f0c34e84409ef7938709a159ec2',1,'2026-11-22 15:30:01.750000','Ada at the desk','created','theirs');
CREATE TABLE ledger_identity (
	id VARCHAR(32) NOT NULL, api TEXT, organization VARCHAR(64), organization_folded VARCHAR(64), key_fingerprint VARCHAR(16), writes INTEGER, 
	CONSTRAINT pk_ledger_identity PRIMARY KEY (id)
);
INSERT INTO "ledger_identity" VALUES('32d59c9fdbfa1811ea53fa29182dfe12','https://example.org/api','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','0123456789abcdef',8);
CREATE TABLE ledger_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT ledger_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "ledger_version" VALUES('0015');
CREATE TABLE lists (
	id VARCHAR(32) NOT NULL, 
	owner TEXT NOT NULL, 
	name TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size BIGINT NOT NULL, 
	uploaded_at DATETIME NOT NULL, 
	changed_at DATETIME NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	version INTEGER NOT NULL, 
	choices JSON NOT NULL, 
	counts JSON NOT NULL, 
	plan_hash VARCHAR(64) NOT NULL, 
	run VARCHAR(32), 
	wish VARCHAR(10) NOT NULL, 
	start_at DATETIME, 
	message TEXT NOT NULL, 
	CONSTRAINT pk_lists PRIMARY KEY (id)
);
CREATE TABLE night_files (
	night VARCHAR(32) NOT NULL, 
	position INTEGER NOT NULL, 
	folder TEXT NOT NULL, 
	name TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	at DATETIME NOT NULL, 
	ending VARCHAR(20) NOT NULL, 
	run VARCHAR(32), 
	reason TEXT NOT NULL, 
	facts JSON NOT NULL, 
	CONSTRAINT pk_night_files PRIMARY KEY (night, position)
);
CREATE TABLE nights (
	id VARCHAR(32) NOT NULL, 
	started_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	exit_code INTEGER, inbox TEXT, 
	CONSTRAINT pk_nights PRIMARY KEY (id)
);
CREATE TABLE rates (
	name TEXT NOT NULL, 
	next_at DATETIME NOT NULL, 
	rate FLOAT NOT NULL, 
	grown_at DATETIME NOT NULL, 
	step_s FLOAT NOT NULL, 
	held_until DATETIME, 
	halved_at DATETIME, 
	quota_s FLOAT, 
	quota_until DATETIME, 
	CONSTRAINT pk_rates PRIMARY KEY (name)
);
CREATE TABLE rows_elsewhere (
	run VARCHAR(32) NOT NULL, 
	source INTEGER NOT NULL, 
	"row" INTEGER NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_rows_elsewhere PRIMARY KEY (run, source, "row"), 
	CONSTRAINT fk_rows_elsewhere_run FOREIGN KEY(run) REFERENCES runs (id)
)
 WITHOUT ROWID

;
INSERT INTO "rows_elsewhere" VALUES('20261122-153000-0001',0,6,'94091dd64a21ffe94214bc6d17deeb43873a5cf2f0a71b4b5caa9a5c81b6967d');
INSERT INTO "rows_elsewhere" VALUES('20261122-153000-0001',0,9,'fb848c99b9a43ec7866a23ea000c1939a168f5ff17314a0b88c7be711d7ef7d0');
CREATE TABLE run_guards (
	run VARCHAR(32) NOT NULL, 
	failed INTEGER NOT NULL, 
	in_a_row INTEGER NOT NULL, 
	unreached_in_a_row INTEGER NOT NULL, 
	doubtful INTEGER NOT NULL, 
	reached BOOLEAN NOT NULL, 
	last TEXT NOT NULL, 
	canary VARCHAR(20) NOT NULL, 
	canary_by BIGINT NOT NULL, 
	stopped TEXT NOT NULL, 
	exit_code INTEGER NOT NULL, 
	CONSTRAINT pk_run_guards PRIMARY KEY (run), 
	CONSTRAINT fk_run_guards_run FOREIGN KEY(run) REFERENCES runs (id)
);
CREATE TABLE run_rows (
	run VARCHAR(32) NOT NULL, 
	source INTEGER NOT NULL, 
	"row" INTEGER NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	"key" VARCHAR(64), 
	codes TEXT NOT NULL, 
	CONSTRAINT pk_run_rows PRIMARY KEY (run, source, "row"), 
	CONSTRAINT fk_run_rows_run FOREIGN KEY(run) REFERENCES runs (id)
)
 WITHOUT ROWID

;
INSERT INTO "run_rows" VALUES('20261122-153000-0001',0,2,'ready','d1a5ac9a015fac2ef7b341673635512a1511f41fe37d111b267f039eec5d4f58','');
INSERT INTO "run_rows" VALUES('20261122-153000-0001',0,3,'ready','6ab9f1eb8f7d3388f4f9d586f66e99fd54080df2c446f0e58668b09c08a16dd0','');
INSERT INTO "run_rows" VALUES('20261122-153000-0001',0,4,'ready','015f7e6bc5aeaf483724089e9252cc13b50951a6b69412522765cff4d780306e','');
INSERT INTO "run_rows" VALUES('20261122-153000-0001',0,5,'ready','2f5052c9fd15b19a18c584d01363568198613f0c34e84409ef7938709a159ec2','phone-warning');
INSERT INTO "run_rows" VALUES('20261122-153000-0001',0,6,'ready','94091dd64a21ffe94214bc6d17deeb43873a5cf2f0a71b4b5caa9a5c81b6967d','');
INSERT INTO "run_rows" VALUES('20261122-153000-0001',0,7,'ready','88dbf612972c594a2c2f6dde493ef1c4cd27adba8c36e6ebd00b89ff143aba61','');
INSERT INTO "run_rows" VALUES('20261122-153000-0001',0,8,'ready','1d92ad4b6987fa0347cc5d2fb6cf9e47c83f4f6caeb3b5ef6f629730528921c3','');
INSERT INTO "run_rows" VALUES('20261122-153000-0001',0,9,'ready','fb848c99b9a43ec7866a23ea000c1939a168f5ff17314a0b88c7be711d7ef7d0','');
INSERT INTO "run_rows" VALUES('20261122-153000-0001',0,90,'rejected',NULL,'phone-invalid');
INSERT INTO "run_rows" VALUES('20261122-153000-0001',0,91,'duplicate',NULL,'duplicate-person');
INSERT INTO "run_rows" VALUES('20261122-163001-0002',0,2,'already-imported','d1a5ac9a015fac2ef7b341673635512a1511f41fe37d111b267f039eec5d4f58','already-imported');
INSERT INTO "run_rows" VALUES('20261122-163001-0002',0,6,'ready','94091dd64a21ffe94214bc6d17deeb43873a5cf2f0a71b4b5caa9a5c81b6967d','');
INSERT INTO "run_rows" VALUES('20261122-163001-0002',0,9,'ready','fb848c99b9a43ec7866a23ea000c1939a168f5ff17314a0b88c7be711d7ef7d0','');
CREATE TABLE run_sources (
	run VARCHAR(32) NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	path TEXT, 
	sha256 VARCHAR(64) NOT NULL, 
	size BIGINT NOT NULL, 
	CONSTRAINT pk_run_sources PRIMARY KEY (run, position), 
	CONSTRAINT fk_run_sources_run FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "run_sources" VALUES('20261122-153000-0001',0,'list.csv','/somewhere/list.csv','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',1234);
INSERT INTO "run_sources" VALUES('20261122-163001-0002',0,'list.csv','/somewhere/list.csv','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',1234);
CREATE TABLE runs (
	id VARCHAR(32) NOT NULL, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	plan_hash VARCHAR(64) NOT NULL, 
	settings JSON NOT NULL, 
	stopped TEXT NOT NULL, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id)
);
INSERT INTO "runs" VALUES('20261122-153000-0001','2026-11-22 15:30:00.000000','2026-11-22 15:30:01.750000','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"campaign": "camp-42", "conversation": "auto-schedule"}','','vm',22414);
INSERT INTO "runs" VALUES('20261122-163001-0002','2026-11-22 16:30:01.750000','2026-11-22 16:30:01.750000','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"campaign": "camp-42", "conversation": "auto-schedule"}','It was stopped.','vm',22414);
CREATE TABLE senders (
	id INTEGER NOT NULL, 
	command TEXT NOT NULL, 
	host TEXT NOT NULL, 
	machine TEXT NOT NULL, 
	boot_id TEXT NOT NULL, 
	pid_space TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	born BIGINT NOT NULL, 
	started_at DATETIME NOT NULL, 
	until DATETIME NOT NULL, 
	over_at DATETIME, 
	ended_at DATETIME, 
	ended_how TEXT NOT NULL, 
	run VARCHAR(32), 
	CONSTRAINT pk_senders PRIMARY KEY (id)
);
CREATE TABLE sessions (
	id VARCHAR(64) NOT NULL, 
	name TEXT NOT NULL, 
	email TEXT NOT NULL, 
	groups JSON NOT NULL, 
	started_at DATETIME NOT NULL, 
	seen_at DATETIME NOT NULL, 
	CONSTRAINT pk_sessions PRIMARY KEY (id)
);
CREATE TABLE submissions (
	"key" VARCHAR(64) NOT NULL, 
	run VARCHAR(32) NOT NULL, 
	source INTEGER NOT NULL, 
	"row" INTEGER NOT NULL, 
	campaign TEXT NOT NULL, 
	external_id TEXT NOT NULL, 
	person VARCHAR(64) NOT NULL, 
	masked TEXT NOT NULL, 
	body_hash VARCHAR(64) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	conversation_id TEXT, 
	status INTEGER, 
	code TEXT NOT NULL, 
	message TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	planned_at DATETIME NOT NULL, 
	sent_at DATETIME, 
	settled_at DATETIME, remote_status TEXT, remote_at DATETIME, decided_by TEXT, decided_at DATETIME, email VARCHAR(64), candidate VARCHAR(64), resends INTEGER, listed_s FLOAT, meeting_state VARCHAR(20), meeting_at DATETIME, meeting_known_at DATETIME, name TEXT, meeting_id TEXT, sender BIGINT, 
	CONSTRAINT pk_submissions PRIMARY KEY ("key"), 
	CONSTRAINT fk_submissions_run FOREIGN KEY(run) REFERENCES runs (id), 
	CONSTRAINT ck_submissions_state CHECK (state IN ('created', 'doubtful', 'duplicate', 'planned', 'rejected', 'sending', 'unsent'))
);
INSERT INTO "submissions" VALUES('d1a5ac9a015fac2ef7b341673635512a1511f41fe37d111b267f039eec5d4f58','20261122-153000-0001',0,2,'camp-42','C-0-d1a5ac9a015fac2e','169b5b823c62b64ca7e5f8456a13c8d5d06f4ece522a58bc2b8a784dcf3609b0','+44 •••• 0000','94b750574d80434828e732795a596c21349476adc348bf8308a159924cc585ab','created','conv_0123456789abcdef0123456789abcde0',201,'','',1,'2026-11-22 15:30:00.000000','2026-11-22 15:30:01.250000','2026-11-22 15:30:01.750000','OPTED_OUT','2026-11-22 15:30:01.750000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'820d5d8baf762ec66d/cd56fed15c78',NULL,0);
INSERT INTO "submissions" VALUES('6ab9f1eb8f7d3388f4f9d586f66e99fd54080df2c446f0e58668b09c08a16dd0','20261122-153000-0001',0,3,'camp-42','C-1-6ab9f1eb8f7d3388','f64551fcd6f07823cb87971cfb91446425da18286b3ab1ef935e0cbd7a69f68a','+44 •••• 0001','8101d16893f3425fbb4ff727e5502764784208aadf2df3acfab20162f7c74fc7','created','conv_0123456789abcdef0123456789abcde1',201,'','',1,'2026-11-22 15:30:00.000000','2026-11-22 15:30:01.250000','2026-11-22 15:30:01.750000','ONGOING','2026-11-22 15:30:01.750000',NULL,NULL,'8b5cc4df7eec7d32a7814eca4af047ae33b2d52342667715682e19c25b0b9faa','d0f631ca1ddba8db3bcfcb9e057cdc98d0379f1bee00e75a545147a27dadd982',NULL,3.5,'scheduled','2026-12-01 09:00:00.000000','2026-11-23 09:00:00.000000','676b8bb84ce7267dd5/20deca4811c8','book_1',0);
INSERT INTO "submissions" VALUES('015f7e6bc5aeaf483724089e9252cc13b50951a6b69412522765cff4d780306e','20261122-153000-0001',0,4,'camp-42','C-2-015f7e6bc5aeaf48','3946ca64ff78d93ca61090a437cbb6b3d2ca0d488f5f9ccf3059608368b27693','+44 •••• 0002','056df3f4fa8f8aaf96fa6c3862e0af2fbc0e0c6dad3f27687a9d42ae35773f51','rejected',NULL,400,'http-400','The API refused it.',1,'2026-11-22 15:30:00.000000','2026-11-22 15:30:01.250000','2026-11-22 15:30:01.750000',NULL,NULL,NULL,NULL,NULL,'9c0abe51c6e6655d81de2d044d4fb194931f058c0426c67c7285d8f5657ed64a',NULL,NULL,NULL,NULL,NULL,'0480a93d2e9b094b89/e08e01976089',NULL,0);
INSERT INTO "submissions" VALUES('2f5052c9fd15b19a18c584d01363568198613f0c34e84409ef7938709a159ec2','20261122-153000-0001',0,5,'camp-42','C-3-2f5052c9fd15b19a','43bb00d0ce7790a53b91256b370c887b24791a5539a6fbfb70c5870e8c91ae5d','+44 •••• 0003','6ed23e1b9a8128024e723b74e094d77d01903fd1edd3f4ca717838c7cdca2c50','created','theirs',NULL,'resolved','Settled by a person: it was sent.',1,'2026-11-22 15:30:00.000000','2026-11-22 15:30:01.250000','2026-11-22 15:30:01.750000',NULL,NULL,'Ada at the desk','2026-11-22 15:30:01.750000','cef7fc13a38180936ffa2635489088778e059f07a5d1beda53f1719d35577631',NULL,NULL,NULL,NULL,NULL,NULL,'8721d664ef60096aa5/59e1aa6c72ca',NULL,NULL);
INSERT INTO "submissions" VALUES('94091dd64a21ffe94214bc6d17deeb43873a5cf2f0a71b4b5caa9a5c81b6967d','20261122-163001-0002',0,6,'camp-42','C-4-94091dd64a21ffe9','ab71fc4c8a1c4d62b9202b36ee7c07dd398a0907a37037bd8c3959d6af573608','+44 •••• 0004','9fa6eb003f14425eb9c8e6baacfbcaab26257357b829c7bfa74ffcc4f31c1780','planned',NULL,NULL,'','',0,'2026-11-22 16:30:01.750000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0012a3fa000c5dc26ee658c3c58e12cecd58d6455cec3d5621f0c787675b38aa',NULL,NULL,NULL,NULL,NULL,'88450b082ec4df2fdc/cd3a626c6e48',NULL,NULL);
INSERT INTO "submissions" VALUES('88dbf612972c594a2c2f6dde493ef1c4cd27adba8c36e6ebd00b89ff143aba61','20261122-153000-0001',0,7,'camp-42','C-5-88dbf612972c594a','536c351ae15e5f5e3dc37bcc5dea8ab641e70fc0431a088a1d684aef2ebf3e5b','+44 •••• 0005','30ebb311f9164c879550bd8c8b5754bbd07c6cb3518d5058489a64f20f80fe81','duplicate','3d813cbb-47fb-4a9f-b3c5-30a5b2b1e0a1',200,'','',1,'2026-11-22 15:30:00.000000','2026-11-22 15:30:01.250000','2026-11-22 15:30:01.750000',NULL,NULL,NULL,NULL,'43700797e2f9d4ad38ccf1355df3233453396bfcc8db8e424486e37bae42a9ec','d0bf3e6ee1d668de18c9ca200a4f152062f345283ee68cadfe41204f215d75e9',NULL,NULL,NULL,NULL,NULL,'4a8456f10e37689778/cef532ab6a73',NULL,0);
INSERT INTO "submissions" VALUES('1d92ad4b6987fa0347cc5d2fb6cf9e47c83f4f6caeb3b5ef6f629730528921c3','20261122-153000-0001',0,8,'camp-42','C-6-1d92ad4b6987fa03','7d087a2e212c110e851c7b6fdc2853a41e7db1690beef7a9c11b3a26ee77e853','+44 •••• 0006','5b9abb305b91998ad0ec0e939e52d7535bc20dbfaf4868427158a2920ebc9bb5','sending',NULL,NULL,'','',1,'2026-11-22 15:30:00.000000','2026-11-22 15:30:01.250000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2d8e452e1634cae42e/17cc9ec974af',NULL,0);
INSERT INTO "submissions" VALUES('fb848c99b9a43ec7866a23ea000c1939a168f5ff17314a0b88c7be711d7ef7d0','20261122-163001-0002',0,9,'camp-42','C-7-fb848c99b9a43ec7','03fbd36c05856bca596b0bcb4466f4f30f0119a41be2b9fcebfa71d68178b116','+44 •••• 0007','92b34e66b788aa5135fc71c8b185a8ee67a06c2413775bc208ac6ee7dfa4ed3e','planned',NULL,NULL,'','',0,'2026-11-22 16:30:01.750000',NULL,NULL,NULL,NULL,NULL,NULL,'f3e2e400523c506868ca413bc55dc213c38e7084caeb10f6f629d8bf5ee9a160','f28d5b0d6f8be0da8446dabe79044cb9ed0ffa3150a003936155409fe778b885',NULL,NULL,NULL,NULL,NULL,'6f5eba2319bd758471/1fc21c2eb5d4',NULL,NULL);
CREATE TABLE turns (
	name TEXT NOT NULL, 
	sender BIGINT NOT NULL, 
	holder VARCHAR(32) NOT NULL, 
	taken_at DATETIME NOT NULL, 
	CONSTRAINT pk_turns PRIMARY KEY (name)
);
CREATE TABLE webhook_events (
	number INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	received_at DATETIME NOT NULL, 
	happened_at DATETIME, 
	conversation_id TEXT, 
	external_id TEXT, 
	facts JSON NOT NULL, 
	outcome VARCHAR(40), 
	CONSTRAINT pk_webhook_events PRIMARY KEY (number)
);
INSERT INTO "webhook_events" VALUES(1,'evt-1','CONVERSATION_STARTED','2026-11-22 15:31:00.000000',NULL,NULL,'C-0-d1a5ac9a015fac2e','{"status": "ONGOING"}','applied');
INSERT INTO "webhook_events" VALUES(2,'evt-2','CONVERSATION_STARTED','2026-11-22 15:31:00.000000',NULL,NULL,NULL,'{}','unreadable');
INSERT INTO "webhook_events" VALUES(3,'evt-3','CONVERSATION_STARTED','2026-11-22 15:31:00.000000',NULL,NULL,'C-6-1d92ad4b6987fa03','{"persons": ["7d087a2e212c110e851c7b6fdc2853a41e7db1690beef7a9c11b3a26ee77e853"], "emails": ["8b5cc4df7eec7d32a7814eca4af047ae33b2d52342667715682e19c25b0b9faa"], "status": "OPTED_OUT"}',NULL);
CREATE INDEX runs_by_start ON runs (started_at);
CREATE INDEX submissions_open ON submissions (state) WHERE state IN ('doubtful', 'sending');
CREATE INDEX submissions_by_conversation ON submissions (conversation_id) WHERE conversation_id IS NOT NULL;
CREATE INDEX night_files_by_content ON night_files (sha256);
CREATE INDEX night_files_by_time ON night_files (at);
CREATE INDEX submissions_created ON submissions (campaign, sent_at) WHERE state IN ('created');
CREATE INDEX submissions_listed ON submissions (listed_s) WHERE listed_s IS NOT NULL;
CREATE INDEX submissions_by_email ON submissions (email) WHERE email IS NOT NULL;
CREATE INDEX submissions_by_candidate ON submissions (candidate) WHERE candidate IS NOT NULL;
CREATE INDEX audit_events_by_time ON audit_events (at);
CREATE INDEX audit_events_by_list ON audit_events (list);
CREATE INDEX lists_by_state ON lists (state);
CREATE INDEX lists_by_content ON lists (sha256);
CREATE INDEX approvals_by_list ON approvals (list);
CREATE UNIQUE INDEX webhook_events_by_id ON webhook_events (id);
CREATE INDEX webhook_events_pending ON webhook_events (number) WHERE outcome IS NULL;
CREATE INDEX webhook_events_stray ON webhook_events (conversation_id) WHERE outcome = 'unknown-conversation';
CREATE TRIGGER submissions_taken AFTER UPDATE OF run ON submissions
        WHEN old.run <> new.run BEGIN
            INSERT OR IGNORE INTO rows_elsewhere (run, source, row, key)
            VALUES (old.run, old.source, old.row, old.key);
        END;
CREATE INDEX submissions_reached ON submissions (person) WHERE state <> 'planned';
CREATE INDEX submissions_by_external_id ON submissions (external_id) WHERE state <> 'planned';
CREATE INDEX submissions_by_code ON submissions (code) WHERE code <> '';
CREATE INDEX submissions_opted_out ON submissions (person) WHERE remote_status IS NOT NULL AND upper(remote_status) = 'OPTED_OUT';
CREATE INDEX submissions_by_run ON submissions (run, state);
COMMIT;
