import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digest } from './identity';

test('a cell is named as digest() of names.py names it', () => {
  assert.equal(digest('5bb1cde6-52a0-4bcd-9d2c-1d8c2a7c6f1e'), '41693c715174c84d');
  assert.equal(digest('Zelle ä 🙂'), 'b03fd8fdb6da75be');
});
