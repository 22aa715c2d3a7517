//go:build official

package main

import (
	"fmt"
	"time"

	consul "github.com/hashicorp/consul/api"
)

const notServed = "not served by Sluice"

func transactions() {
	kv := client.KV()
	one := &consul.KVTxnOp{Verb: consul.KVSet, Key: "t/a", Value: []byte("1"), Flags: 3}
	done, reply, _, err := kv.Txn(consul.KVTxnOps{one, {Verb: consul.KVGet, Key: "t/a"}}, nil)
	same("KV.Txn", err, done && len(reply.Results) == 2 && string(reply.Results[1].Value) == "1", true)
	done, reply, _, err = kv.Txn(consul.KVTxnOps{{Verb: consul.KVSet, Key: "t/b"},
		{Verb: consul.KVCAS, Key: "t/a", Value: []byte("2"), Index: 1}}, nil)
	same("KV.Txn that fails", err, !done && len(reply.Errors) == 1 && reply.Errors[0].OpIndex == 1, true)
	pair, _, err := kv.Get("t/b", nil)
	same("a key of a transaction that failed", err, pair == nil, true)
	_, _, _, err = client.Txn().Txn(consul.TxnOps{{KV: &consul.KVTxnOp{Verb: consul.KVGetTree, Key: "t/"}}}, nil)
	must("Txn.Txn", err)
	_, _, _, err = client.Txn().Txn(consul.TxnOps{{Node: &consul.NodeTxnOp{Verb: consul.NodeGet,
		Node: consul.Node{Node: node}}}}, nil)
	fails("Txn.Txn of a node", err, notServed)
	done, _, err = kv.DeleteCAS(&consul.KVPair{Key: "t/a", ModifyIndex: 1}, nil)
	same("KV.DeleteCAS of another index", err, done, false)
	_, err = kv.DeleteTree("t/", nil)
	must("KV.DeleteTree", err)
}

// True when the channel closes while there is patience.
func closes(channel <-chan struct{}) bool {
	select {
	case <-channel:
		return true
	case <-time.After(patience):
		return false
	}
}

// One holds it, another waits until that lets go.
func locks() {
	first, err := client.LockOpts(&consul.LockOptions{Key: "l/lock", Value: []byte("first"), SessionTTL: "20s"})
	must("LockOpts", err)
	second, err := client.LockKey("l/lock")
	must("LockKey", err)
	lost, err := first.Lock(nil)
	must("Lock.Lock", err)
	_, err = first.Lock(nil)
	fails("Lock.Lock twice", err, "held")
	held := make(chan error, 1)
	go func() {
		_, err := second.Lock(nil)
		held <- err
	}()
	fails("Lock.Destroy of what is held", first.Destroy(), "held")
	must("Lock.Unlock", first.Unlock())
	same("Lock.Unlock closes the channel", nil, closes(lost), true)
	must("Lock.Lock of who waited", <-held)
	fails("Lock.Destroy of what another holds", first.Destroy(), "in use")
	must("Lock.Unlock", second.Unlock())
	must("Lock.Destroy", second.Destroy())
}

// A lock whose session somebody ends is lost.
func lostLock() {
	lock, err := client.LockKey("l/lost")
	must("LockKey", err)
	lost, err := lock.Lock(nil)
	must("Lock.Lock", err)
	pair, _, err := client.KV().Get("l/lost", nil)
	must("KV.Get", err)
	same("the flags of a lock", nil, pair.Flags, uint64(consul.LockFlagValue))
	_, err = client.Session().Destroy(pair.Session, nil)
	must("Session.Destroy", err)
	same("a lock that is lost closes its channel", nil, closes(lost), true)
	lock.Unlock()
	client.KV().Delete("l/lost", nil)
}

// Two of three have a slot, the third waits for one.
func semaphore() {
	slots := [3]*consul.Semaphore{}
	for i := range slots {
		slot, err := client.SemaphorePrefix("l/slots", 2)
		must("SemaphorePrefix", err)
		slots[i] = slot
	}
	for _, slot := range slots[:2] {
		_, err := slot.Acquire(nil)
		must("Semaphore.Acquire", err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := slots[2].Acquire(nil)
		got <- err
	}()
	select {
	case err := <-got:
		fmt.Printf("Semaphore.Acquire: a third one has a slot (%v)\n", err)
	case <-time.After(300 * time.Millisecond):
	}
	must("Semaphore.Release", slots[0].Release())
	must("Semaphore.Acquire of who waited", <-got)
	fails("Semaphore.Destroy of what is in use", slots[0].Destroy(), "in use")
	must("Semaphore.Release", slots[1].Release())
	must("Semaphore.Release", slots[2].Release())
	must("Semaphore.Destroy", slots[0].Destroy())
}

// A session that is renewed while its program lives, and depends on a check.
func renewed() {
	s := client.Session()
	id, _, err := s.Create(&consul.SessionEntry{TTL: "10s", Behavior: consul.SessionBehaviorDelete,
		Checks: []string{"serfHealth", "service:w1"}, LockDelay: time.Millisecond}, nil)
	must("Session.Create with checks", err)
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.RenewPeriodic("10s", id, nil, end) }()
	entry, meta, err := s.Info(id, nil)
	same("Session.Info", err, entry != nil, true)
	soon(func() { client.Agent().FailTTL("service:w1", "") })
	entry, _, err = s.Info(id, after(meta.LastIndex))
	same("a session whose check fails", err, entry == nil, true)
	close(end)
	<-ended
	entry, _, err = s.Renew(id, nil)
	same("Session.Renew of none", err, entry == nil, true)
	must("Agent.PassTTL", client.Agent().PassTTL("service:w1", "well"))
}

func agentMore() {
	a := client.Agent()
	must("Agent.EnableServiceMaintenance", a.EnableServiceMaintenance("w1", "disk"))
	state, info, err := a.AgentHealthServiceByID("w1")
	same("Agent.AgentHealthServiceByID", err, state == "critical" && info.AggregatedStatus == "maintenance" && info.Service.Service == "web", true)
	must("Agent.DisableServiceMaintenance", a.DisableServiceMaintenance("w1"))
	must("Agent.EnableNodeMaintenance", a.EnableNodeMaintenance("kernel"))
	checks, _, err := client.Health().Node(node, nil)
	same("Health.Node in maintenance", err, checks.AggregatedStatus(), consul.HealthMaint)
	must("Agent.DisableNodeMaintenance", a.DisableNodeMaintenance())
	state, infos, err := a.AgentHealthServiceByName("web")
	same("Agent.AgentHealthServiceByName", err, state == "passing" && len(infos) == 1, true)
	services, err := a.ServicesWithFilter(`Service == "web" and "v1" in Tags`)
	same("Agent.ServicesWithFilter", err, len(services), 1)
	filtered, err := a.ChecksWithFilter(`Status != passing`)
	same("Agent.ChecksWithFilter", err, len(filtered), 0)
	service, meta, err := a.Service("w1", nil)
	same("Agent.Service", err, service.ID == "w1" && service.ContentHash != "" && meta.LastContentHash == service.ContentHash, true)
	_, err = a.Metrics()
	same("Agent.Metrics", err, nil, nil)
	must("Agent.ServiceRegister", a.ServiceRegister(&consul.AgentServiceRegistration{ID: "full", Name: "full", Address: "192.0.2.7",
		Port: 8080, Meta: map[string]string{"zone": "a"}, Weights: &consul.AgentWeights{Passing: 10, Warning: 1},
		EnableTagOverride: true, TaggedAddresses: map[string]consul.ServiceAddress{"wan": {Address: "198.51.100.7", Port: 80}},
		Checks: consul.AgentServiceChecks{{CheckID: "one", TTL: "60s"}, {CheckID: "two", Name: "second", TCP: "127.0.0.1:1",
			Interval: "10s", Timeout: "1s", DeregisterCriticalServiceAfter: "1h", SuccessBeforePassing: 2}}}))
	service, _, err = a.Service("full", nil)
	same("Agent.Service that has all", err, service.Address == "192.0.2.7" && service.Meta["zone"] == "a" &&
		service.Weights.Passing == 10 && service.TaggedAddresses["wan"].Port == 80 && service.EnableTagOverride, true)
	must("Agent.ServiceDeregister", a.ServiceDeregister("full"))
}

// What is not served says so through the client, too.
func refused() {
	a, q := client.Agent(), client.PreparedQuery()
	for what, err := range map[string]error{
		"Agent.Leave": a.Leave(), "Agent.Reload": a.Reload(),
		"Agent.CheckRegister of a program": a.CheckRegister(&consul.AgentCheckRegistration{Name: "p",
			AgentServiceCheck: consul.AgentServiceCheck{Args: []string{"true"}, Interval: "10s"}}),
	} {
		fails(what, err, "not served")
	}
	fails("Agent.ServiceRegister of a proxy", a.ServiceRegister(&consul.AgentServiceRegistration{Name: "p",
		Kind: consul.ServiceKindConnectProxy, Proxy: &consul.AgentServiceConnectProxyConfig{DestinationServiceName: "web"}}),
		"no service mesh")
	fails("Agent.ServiceRegister with a sidecar", a.ServiceRegister(&consul.AgentServiceRegistration{Name: "p",
		Connect: &consul.AgentServiceConnect{Native: true}}), "no service mesh")
	_, _, err := q.Create(&consul.PreparedQueryDefinition{Name: "q", Service: consul.ServiceQuery{Service: "web"}}, nil)
	fails("PreparedQuery.Create", err, notServed)
	_, _, err = q.List(nil)
	fails("PreparedQuery.List", err, notServed)
	_, _, err = q.Execute("q", nil)
	fails("PreparedQuery.Execute", err, notServed)
	_, _, err = client.Catalog().Connect("web", "", nil)
	fails("Catalog.Connect", err, notServed)
	_, _, err = client.Health().Connect("web", "", false, nil)
	fails("Health.Connect", err, notServed)
	_, _, err = client.Coordinate().Nodes(nil)
	fails("Coordinate.Nodes", err, notServed)
	_, _, err = client.Snapshot().Save(nil)
	fails("Snapshot.Save", err, notServed)
	_, err = client.Operator().RaftGetConfiguration(nil)
	fails("Operator.RaftGetConfiguration", err, notServed)
	_, _, err = client.ConfigEntries().List(consul.ServiceDefaults, nil)
	fails("ConfigEntries.List", err, notServed)
	_, _, err = client.ACL().TokenList(nil)
	fails("ACL.TokenList", err, notServed)
}

func more() {
	for _, round := range []func(){agentMore, transactions, locks, lostLock, semaphore, renewed, refused} {
		round()
	}
}
