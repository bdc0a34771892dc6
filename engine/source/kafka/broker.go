package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What ListOffsets understands as a time:
// https://kafka.apache.org/protocol.html#The_Messages_ListOffsets.
const (
	atEnd   = -1
	atStart = -2
)

// begin finds the partitions and where to start in each.
func (s *Source) begin() error {
	ctx, cancel := context.WithTimeout(s.running, patience)
	defer cancel()
	if err := s.find(ctx); err != nil {
		return err
	}
	starts, err := s.offsets(ctx, atStart)
	if err != nil {
		return err
	}
	ends, err := s.offsets(ctx, atEnd)
	if err != nil {
		return err
	}
	kept, err := s.kept(ctx)
	if err != nil {
		return err
	}
	assigned := make(map[int32]kgo.Offset)
	for _, p := range s.partitions {
		p.next, p.end = starts[p.number], ends[p.number]
		if s.cfg.Start == Latest {
			p.next = p.end
		}
		if at, ok := kept[p.number]; ok {
			if p.next = max(at, starts[p.number]); p.next > at {
				s.gap(p.number, p.next-at)
			}
		}
		p.settled, p.accepted = p.next, p.next
		assigned[p.number] = kgo.NewOffset().At(p.next)
	}
	s.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.cfg.Topic: assigned})
	return nil
}

// find lists the partitions of the topic.
func (s *Source) find(ctx context.Context) error {
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(s.cfg.Topic)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return s.unreachable(err)
	}
	if len(resp.Topics) != 1 {
		return fmt.Errorf("the brokers %s say nothing of topic %s", s.brokers, s.cfg.Topic)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		return fmt.Errorf("topic %s at %s: %w", s.cfg.Topic, s.brokers, err)
	}
	s.topicID = resp.Topics[0].TopicID
	for _, p := range resp.Topics[0].Partitions {
		s.partitions = append(s.partitions, &partition{number: p.Partition})
	}
	slices.SortFunc(s.partitions, func(a, b *partition) int { return int(a.number - b.number) })
	return nil
}

func (s *Source) unreachable(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", patience)
	}
	return fmt.Errorf("no broker of %s could be asked; is the address right, and TLS and user as the brokers want them? %w", s.brokers, err)
}

// offsets asks the leaders of all partitions where they begin or end.
func (s *Source) offsets(ctx context.Context, at int64) (map[int32]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.IsolationLevel = 1 // up to the last stable offset: what may be read
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = s.cfg.Topic
	for _, p := range s.partitions {
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = p.number, at
		topic.Partitions = append(topic.Partitions, part)
	}
	req.Topics = append(req.Topics, topic)
	found := make(map[int32]int64)
	for _, shard := range s.client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, s.unreachable(shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("topic %s, partition %d: %w", s.cfg.Topic, p.Partition, err)
				}
				found[p.Partition] = p.Offset
			}
		}
	}
	if len(found) != len(s.partitions) {
		return nil, fmt.Errorf("topic %s: only %d of %d partitions have a leader", s.cfg.Topic, len(found), len(s.partitions))
	}
	return found, nil
}

// kept asks for the positions of the group.
func (s *Source) kept(ctx context.Context) (map[int32]int64, error) {
	kept := make(map[int32]int64)
	if s.cfg.Group == "" {
		return kept, nil
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = s.cfg.Group
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic = s.cfg.Topic
	group := kmsg.NewOffsetFetchRequestGroup() // how it is asked from Kafka 3.0 on
	group.Group = s.cfg.Group
	grouped := kmsg.NewOffsetFetchRequestGroupTopic()
	grouped.Topic, grouped.TopicID = s.cfg.Topic, s.topicID
	for _, p := range s.partitions {
		topic.Partitions = append(topic.Partitions, p.number)
		grouped.Partitions = append(grouped.Partitions, p.number)
	}
	req.Topics = append(req.Topics, topic)
	group.Topics = append(group.Topics, grouped)
	req.Groups = append(req.Groups, group)
	var resp *kmsg.OffsetFetchResponse
	err := retry(ctx, func() (err error) {
		if resp, err = req.RequestWith(ctx, s.client); err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err == nil && len(resp.Groups) > 0 {
			err = kerr.ErrorForCode(resp.Groups[0].ErrorCode)
		}
		return err
	})
	if errors.Is(err, kerr.GroupIDNotFound) {
		return kept, nil // nobody has used it yet
	}
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", s.cfg.Group, err)
	}
	keep := func(partition int32, offset int64, code int16) error {
		if err := kerr.ErrorForCode(code); err != nil {
			return fmt.Errorf("group %s, partition %d: %w", s.cfg.Group, partition, err)
		}
		if offset >= 0 {
			kept[partition] = offset
		}
		return nil
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := keep(p.Partition, p.Offset, p.ErrorCode); err != nil {
				return nil, err
			}
		}
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if err := keep(p.Partition, p.Offset, p.ErrorCode); err != nil {
					return nil, err
				}
			}
		}
	}
	return kept, nil
}

// retry asks again while the answer is that it may help: the first group of a
// new cluster waits until Kafka has made the topic for positions.
func retry(ctx context.Context, ask func() error) error {
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		err := ask()
		if err == nil || !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}

// Acknowledge writes the positions of the group, up to which everything was
// handed out. Without a group it does nothing. An error says that the
// positions are as they were: what comes after them will come again.
func (s *Source) Acknowledge(ctx context.Context) error {
	if s.cfg.Group == "" {
		return nil
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = s.cfg.Group, -1 // not a member
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = s.cfg.Topic, s.topicID
	settled := make(map[int32]int64)
	for _, p := range s.partitions {
		at := p.settle()
		if at == p.accepted {
			continue
		}
		settled[p.number] = at
		part := kmsg.NewOffsetCommitRequestTopicPartition()
		part.Partition, part.Offset = p.number, at
		topic.Partitions = append(topic.Partitions, part)
	}
	if len(settled) == 0 {
		return nil
	}
	req.Topics = append(req.Topics, topic)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var resp *kmsg.OffsetCommitResponse
	err := retry(ctx, func() (err error) {
		resp, err = req.RequestWith(ctx, s.client)
		return err
	})
	if err != nil {
		return fmt.Errorf("group %s: %w", s.cfg.Group, err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				if errors.Is(err, kerr.UnknownMemberID) {
					err = errors.New("consumers are running in it; take a group of your own")
				}
				return fmt.Errorf("group %s, partition %d: %w", s.cfg.Group, p.Partition, err)
			}
		}
	}
	for _, p := range s.partitions {
		if at, ok := settled[p.number]; ok {
			p.accepted = at
		}
	}
	return nil
}

// poll waits for messages. Where none comes for a while, what waits for an
// earlier one leaves.
func (s *Source) poll(ctx context.Context) error {
	wait := patience
	if s.cfg.Follow {
		wait = idle
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(s.running, cancel)()
	fetches := s.client.PollRecords(limited, fetched)
	got := false
	for _, f := range fetches {
		for _, t := range f.Topics {
			for _, fp := range t.Partitions {
				if fp.Err != nil && !errors.Is(fp.Err, context.DeadlineExceeded) && !errors.Is(fp.Err, context.Canceled) {
					return s.fail(fmt.Errorf("topic %s, partition %d: %w", s.cfg.Topic, fp.Partition, fp.Err))
				}
				got = s.fetch(fp) || got
			}
		}
	}
	switch {
	case got:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case s.stopped.Load(), limited.Err() == nil: // a paused partition can end the wait early
		return nil
	case s.cfg.Follow:
		s.rest(time.Now())
		return nil
	}
	return s.stalled(ctx)
}

func (s *Source) fail(err error) error {
	s.err = err
	return err
}

// fetch takes in what came of one partition, and reports whether it is any.
func (s *Source) fetch(fp kgo.FetchPartition) bool {
	i := slices.IndexFunc(s.partitions, func(p *partition) bool { return p.number == fp.Partition })
	if i < 0 || len(fp.Records) == 0 {
		return false
	}
	p := s.partitions[i]
	if s.cfg.Follow {
		p.end = max(p.end, fp.LastStableOffset)
	}
	if fp.LogStartOffset > p.next && fp.Records[0].Offset > p.next {
		s.gap(p.number, fp.LogStartOffset-p.next)
	}
	for _, r := range fp.Records {
		if !s.cfg.Follow && r.Offset >= p.end {
			p.next = p.end
			break
		}
		if r.Offset < p.next {
			continue
		}
		p.records = append(p.records, r)
		p.next = r.Offset + 1
	}
	if p.full() || !s.cfg.Follow && p.ended() {
		p.paused = true
		s.client.PauseFetchPartitions(map[string][]int32{s.cfg.Topic: {p.number}})
	}
	return true
}

// resume lets more messages of a partition come.
func (s *Source) resume(p *partition) {
	if p.paused && len(p.records) < fetched/2 && (s.cfg.Follow || !p.ended()) {
		p.paused = false
		s.client.ResumeFetchPartitions(map[string][]int32{s.cfg.Topic: {p.number}})
	}
}

// rest lets leave what is in order when nothing more comes.
func (s *Source) rest(now time.Time) {
	s.add(s.decoder.Expire(now))
	s.quiet = true
}

// stalled finds out why nothing comes although the end is not reached: either
// no broker answers, or what was there is deleted by now, or compacted away.
func (s *Source) stalled(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	starts, err := s.offsets(asked, atStart)
	if err != nil {
		return s.fail(err)
	}
	for _, p := range s.partitions {
		if len(p.records) == 0 && !p.ended() {
			if starts[p.number] > p.next {
				s.gap(p.number, min(starts[p.number], p.end)-p.next)
			}
			p.next = p.end
		}
	}
	return nil
}

// gap accounts for messages that were deleted before they could be read.
func (s *Source) gap(number int32, n int64) {
	s.gaps++
	s.log.Warn("", -1, fmt.Sprintf("partition %d: %d messages were deleted by retention before they were read", number, n))
}
