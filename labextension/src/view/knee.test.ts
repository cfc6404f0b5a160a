import assert from 'node:assert/strict';
import test from 'node:test';
import { findKnee, runningBest } from './knee';

const saturating = (count: number, rate: number): { x: number; y: number }[] =>
  Array.from({ length: count }, (_, index) => ({
    x: index + 1,
    y: 1 - Math.exp(-index * rate)
  }));

test('a curve that saturates has its knee where it bends', () => {
  const knee = findKnee(saturating(20, 0.5), false);
  assert.ok(knee);
  assert.ok(knee.index >= 3 && knee.index <= 6, `${knee.index}`);
  assert.equal(knee.energyShare, (20 - (knee.index + 1)) / 20);
  assert.ok(knee.gain > 0 && knee.gain < 0.2);
});

test('the same upside down, where lower is better', () => {
  const points = saturating(20, 0.5);
  const falling = points.map(({ x, y }) => ({ x, y: 3 - y }));
  assert.equal(findKnee(falling, true)?.index, findKnee(points, false)?.index);
  assert.equal(findKnee(falling, false), null);
});

test('no knee is told of a line, of few points, or of a curve that gets no better', () => {
  const line = Array.from({ length: 20 }, (_, index) => ({ x: index, y: index }));
  assert.equal(findKnee(line, false), null);
  assert.equal(findKnee(saturating(5, 1), false), null);
  assert.equal(
    findKnee(
      line.map(({ x }) => ({ x, y: 1 })),
      false
    ),
    null
  );
  assert.equal(
    findKnee(
      line.map(({ y }) => ({ x: 7, y })),
      false
    ),
    null
  );
  assert.equal(findKnee([], false), null);
});

test('no knee while much is still gained behind it', () => {
  assert.equal(findKnee(saturating(20, 0.1), false), null);
});

test('a dip after the best costs nothing: the best so far counts', () => {
  assert.deepEqual(runningBest([1, 3, 2, 4]), [1, 3, 3, 4]);
  const points = saturating(20, 0.5);
  points[15].y = 0.2;
  assert.equal(findKnee(points, false)?.index, findKnee(saturating(20, 0.5), false)?.index);
});
